import { describeOperations } from './operations.js';

await describeOperations('lavapipe');
