import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import type { ScanProgram } from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import { normalize } from './normalize.js';
import { isRefusal, type Refusal } from './refusal.js';

export type Normalized =
  | { readonly scan: ScanProgram; readonly refused?: undefined }
  | { readonly refused: Diagnostic };

/** The normal form of a scan, or what the user is told of why there is none. Other errors pass through: they are ours. */
export function tryNormalize(spec: Spec): Normalized {
  try {
    return { scan: normalize(spec) };
  } catch (error) {
    if (isRefusal(error)) return { refused: diagnoseRefusal(error) };
    throw error;
  }
}

export function diagnoseRefusal({ code, title, origin, label, secondary, help }: Refusal): Diagnostic {
  return diagnostic(code, title, origin, label, { secondary, help });
}
