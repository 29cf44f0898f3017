/** What a code is about; its page in docs/diagnostics tells the rest. */
export interface CodeInfo {
  readonly severity: 'error' | 'warning';
  readonly about: string;
}

const error = (about: string): CodeInfo => ({ severity: 'error', about });
const warning = (about: string): CodeInfo => ({ severity: 'warning', about });

/**
 * Every code, once. E1xx syntax, E2xx names and axes, E3xx recurrence, E4xx sizes and ranges, E5xx data files, E6xx devices and compilers,
 * E7xx files and output, E8xx layers, mixtures and models; W... are warnings. A new code is one line here and one page
 * docs/diagnostics/CODE.md.
 */
export const CODES = {
  E101: error('a character that no token starts with'),
  E102: error('something else was expected here'),
  E103: error('a bracket is not closed, or closed by another'),
  E104: error('a reserved word'),
  E105: error('a comment without end'),
  E106: error('a formula that is too deep or too large'),
  E107: error('something that this kind of declaration does not have'),

  E201: error('unknown name'),
  E202: error('the axes of an operator do not line up'),
  E203: error('`@` does not find one shared axis'),
  E204: error('`outer` of values that share an axis'),
  E205: error('a name is declared twice'),
  E206: error('unknown axis'),
  E207: error('an axis is named twice in one shape'),
  E208: error('the value does not have the declared axes'),
  E209: error('a state is read before its new value exists'),
  E210: error('only one step back, and only in states and inputs'),
  E211: error('a name with a fixed meaning'),
  E212: error('unknown function, or a name used as one'),
  E213: error('wrong arguments of a function'),
  E214: error('this reduction needs an axis'),
  E215: error('a state or output is never assigned'),
  E216: error('assigned twice, or not assignable'),
  E217: error('a constant depends on the token'),
  E218: error('an import that cannot be resolved'),
  E219: error('files import each other'),
  E220: error('inputs do not say how many heads there are'),
  W201: warning('a name that nothing uses'),
  W202: warning('a family that runs as a whole'),
  W203: warning('a range that is taken as a promise'),
  W204: warning('a file that declares nothing'),

  E301: error('an update is not linear in its state'),
  E302: error('states feed each other'),
  E303: error('a state cannot be both a matrix and read entry by entry'),
  E304: error('two states are added up'),
  E305: error('a decay may be negative'),
  E306: error('a read or write with no chunked form'),

  E401: error('a range that is no range of numbers'),
  E402: error('a size that is no size'),
  E403: error('an axis has no size'),
  E404: error('a size that kernels cannot have'),
  E405: error('a number that f32 cannot hold'),

  E501: error('a tensor is missing'),
  E502: error('a tensor that does not belong here'),
  E503: error('a tensor has the wrong shape'),
  E504: error('a tensor holds a NaN'),
  E505: error('cu_seqlens are no offsets of sequences'),
  E506: error('a data file that cannot be understood'),
  E507: error('an index is out of range'),
  E508: error('the formula itself gives no finite number'),
  E509: error('too large for this machine\'s memory'),

  E601: error('no device answers'),
  E602: error('a device that cannot do this'),
  E603: error('a compiler refused a generated kernel'),
  E604: error('a device failed while running'),

  E701: error('a file cannot be written'),
  E702: error('a file cannot be read'),
  E703: error('it is not clear which scan is meant'),
  E704: error('what lies there was not made by lmoec'),
  E705: error('a Python package cannot be made'),

  E801: error('an index that is none'),
  E802: error('a value that is absent where it is needed'),
  E803: error('a count that `top` cannot have'),
  E804: error('a param that nothing would train'),
  E805: error('`calls` outside an update'),
  E806: error('a loss that is not one number'),
  E807: error('an update of no buffer, or by no single value'),
  E808: error('pairs that `rope` cannot turn'),
  E809: error('a mixture that looks at other tokens'),
  E810: error('a structure that depends on tokens'),
  E811: error('weights that would be there several times'),
  E812: error('more than a device can run'),
  E813: error('a choice that cannot be made there'),
  E814: error('a part that contains itself'),
  E815: error('a part that has no kernels yet'),
  E816: error('another kind of value is needed'),
  E821: error('a param without a name in checkpoints'),
  E822: error('a layout that does not hold each axis once'),
  E823: error('two params in one tensor'),
  E824: error('a tensor that nothing claims'),
} as const satisfies Readonly<Record<string, CodeInfo>>;

export type Code = keyof typeof CODES;

export function isCode(text: string): text is Code {
  return Object.hasOwn(CODES, text);
}
