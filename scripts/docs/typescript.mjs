// A loader hook: TypeDoc needs the compiler's API, which TypeScript 7 does not have. It gets the TypeScript 6 beside it.
export function resolve(specifier, context, next) {
  return next(specifier === 'typescript' ? 'typescript-6' : specifier, context)
}
