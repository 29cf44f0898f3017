import { describeOperations } from './operations.js';

await describeOperations('swiftshader');
