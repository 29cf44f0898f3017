import type {
  FunctionDeclarationStructure, ImportDeclarationStructure, InterfaceDeclarationStructure, VariableStatementStructure,
} from 'ts-morph';
import { lineComment } from '../../support/text.js';
import { docComment } from '../typescript.js';
import type { FileSurface } from './surface.js';

/** Prints surfaces as TypeScript, by path. ts-morph is loaded here, and only when this is called: it costs a third of a second. */
export async function printSurfaces(surfaces: readonly FileSurface[]): Promise<ReadonlyMap<string, string>> {
  const { IndentationText, Project, QuoteKind, StructureKind, VariableDeclarationKind } = await import('ts-morph');
  const project = new Project({
    useInMemoryFileSystem: true,
    skipLoadingLibFiles: true,
    manipulationSettings: { indentationText: IndentationText.TwoSpaces, quoteKind: QuoteKind.Single },
  });
  const texts = new Map<string, string>();
  for (const surface of surfaces) {
    // One structure per file and no edits afterwards: each would parse the file again.
    const file = project.createSourceFile(surface.path, {
      statements: [
        (writer) => { for (const line of surface.header) writer.writeLine(`// ${lineComment(line)}`); },
        ...surface.imports.map((item): ImportDeclarationStructure => ({
          kind: StructureKind.ImportDeclaration, moduleSpecifier: item.from, namedImports: [...item.names], isTypeOnly: item.typeOnly,
        })),
        ...surface.constants.map((constant): VariableStatementStructure => ({
          kind: StructureKind.VariableStatement,
          declarationKind: VariableDeclarationKind.Const,
          isExported: true,
          docs: [docComment(constant.doc)],
          declarations: [{ name: constant.name, initializer: constant.value }],
        })),
        ...surface.interfaces.map((item): InterfaceDeclarationStructure => ({
          kind: StructureKind.Interface,
          name: item.name,
          isExported: true,
          docs: [docComment(item.doc)],
          properties: item.properties.map((property) => ({
            name: property.name, type: property.type, hasQuestionToken: property.optional, isReadonly: true,
            docs: [docComment(property.doc)],
          })),
          methods: item.methods.map((method) => ({
            name: method.name, parameters: method.parameters.map((parameter) => ({ ...parameter })), returnType: method.returns,
            docs: [docComment(method.doc)],
          })),
        })),
        ...surface.functions.map((item): FunctionDeclarationStructure => ({
          kind: StructureKind.Function,
          name: item.name,
          isExported: true,
          isAsync: true,
          docs: [docComment(item.doc)],
          parameters: item.parameters.map((parameter) => ({ ...parameter })),
          returnType: item.returns,
          statements: [...item.body],
        })),
      ],
    }, { overwrite: true });
    texts.set(surface.path, file.getFullText());
  }
  return texts;
}
