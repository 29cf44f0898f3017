import type { Reporter, TestCase, TestSuite } from 'vitest/node';

/** The outermost suite that was skipped as a whole, or the test itself. */
function skippedWhole(test: TestCase): TestCase | TestSuite {
  let whole: TestCase | TestSuite = test;
  for (let at = test.parent; at.type === 'suite'; at = at.parent) if (at.options.mode === 'skip') whole = at;
  return whole;
}

/** Says after a run what was skipped, and why: names of tests that may be skipped tell, some add a note while they run. */
export function skippedTests(): Reporter {
  let filtered = false;
  return {
    onInit(vitest) {
      filtered = vitest.config.testNamePattern !== undefined;
    },
    onTestRunEnd(modules) {
      const lines = new Map<string, number>();
      for (const module of filtered ? [] : modules) {
        for (const test of module.children.allTests('skipped')) {
          const result = test.result();
          const note = result.state === 'skipped' && result.note !== undefined ? `: ${result.note}` : '';
          const line = `${module.relativeModuleId}: ${skippedWhole(test).fullName}${note}`;
          lines.set(line, (lines.get(line) ?? 0) + 1);
        }
      }
      if (lines.size > 0) console.log('\nskipped:');
      for (const [line, count] of lines) console.log(`  ${line}${count > 1 ? ` (${count} tests)` : ''}`);
    },
  };
}
