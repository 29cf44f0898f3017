import { describeNumbers } from './numbers.js';

await describeNumbers('lavapipe');
