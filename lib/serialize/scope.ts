// Scope analysis of one function or class: which names it uses and does not declare, whether it uses `this`, `super` or
// `arguments` of what surrounds it, and where it says `import.meta`.
import type { Node } from 'acorn'

type Any = any

export interface Uses {
  /** Free names → for `ns.member` uses only: the members; null where the name is used in any other way. */
  names: Map<string, Set<string> | null>
  /** Start offsets of `import.meta`. */
  metas: number[]
  /** Start offsets of `this` that belong to the surroundings (only an arrow function has them). */
  outerThis: number[]
  usesSuper: boolean
  usesNewTarget: boolean
}

class Scope {
  readonly names = new Set<string>()
  constructor(
    readonly parent: Scope | null,
    readonly isFunction: boolean,
  ) {}
  has(name: string): boolean {
    for (let scope: Scope | null = this; scope; scope = scope.parent) if (scope.names.has(name)) return true
    return false
  }
}

export function patternNames(pattern: Any, out: Set<string>): void {
  switch (pattern?.type) {
    case 'Identifier':
      out.add(pattern.name)
      break
    case 'ObjectPattern':
      for (const p of pattern.properties) patternNames(p.value ?? p.argument, out)
      break
    case 'ArrayPattern':
      for (const p of pattern.elements) patternNames(p, out)
      break
    case 'AssignmentPattern':
      patternNames(pattern.left, out)
      break
    case 'RestElement':
      patternNames(pattern.argument, out)
  }
}

// `var` and, in function bodies, nested function declarations reach through blocks; they stop at functions and classes.
function hoistVars(node: Any, out: Set<string>): void {
  if (!node || typeof node.type !== 'string') return
  if (node.type === 'VariableDeclaration' && node.kind === 'var')
    for (const d of node.declarations) patternNames(d.id, out)
  if (node.type === 'FunctionDeclaration' && node.id) out.add(node.id.name)
  if (/^(Function|ArrowFunction|Class)/.test(node.type) || /Expression$/.test(node.type)) return
  for (const child of children(node)) hoistVars(child, out)
}
function declareLexical(statements: Any[], out: Set<string>): void {
  for (const s of statements) {
    if (s.type === 'VariableDeclaration') for (const d of s.declarations) patternNames(d.id, out)
    else if ((s.type === 'FunctionDeclaration' || s.type === 'ClassDeclaration') && s.id) out.add(s.id.name)
  }
}
export function* children(node: Any): Generator<Any> {
  for (const key in node) {
    const value = node[key]
    if (Array.isArray(value)) {
      for (const item of value) if (item && typeof item.type === 'string') yield item
    } else if (value && typeof value.type === 'string') yield value
  }
}

/** What `root` (a function, class or object-literal method) uses of its surroundings; nodes in `skip` are not looked at. */
export function analyse(root: Node, skip: ReadonlySet<Any> = new Set()): Uses {
  const uses: Uses = { names: new Map(), metas: [], outerThis: [], usesSuper: false, usesNewTarget: false }
  const refer = (name: string, scope: Scope, member: string | null): void => {
    if (scope.has(name)) return
    const known = uses.names.get(name)
    if (member === null || known === null) uses.names.set(name, null)
    else uses.names.set(name, (known ?? new Set<string>()).add(member))
  }
  // `own`: inside a function that has a `this` of its own; `home`: inside a method that may say `super`.
  interface At {
    scope: Scope
    own: boolean
    home: boolean
  }
  const all = (nodes: Iterable<Any>, at: At): void => {
    for (const node of nodes) visit(node, at)
  }
  const pattern = (node: Any, at: At): void => {
    switch (node?.type) {
      case 'ObjectPattern':
        for (const p of node.properties) {
          if (p.computed) visit(p.key, at)
          pattern(p.value ?? p.argument, at)
        }
        break
      case 'ArrayPattern':
        for (const p of node.elements) pattern(p, at)
        break
      case 'AssignmentPattern':
        pattern(node.left, at)
        visit(node.right, at)
        break
      case 'RestElement':
        pattern(node.argument, at)
        break
      default:
        visit(node, at)
    }
  }
  const fn = (node: Any, at: At, home: boolean): void => {
    const arrow = node.type === 'ArrowFunctionExpression'
    const scope = new Scope(at.scope, true)
    if (node.type === 'FunctionExpression' && node.id) scope.names.add(node.id.name)
    if (!arrow) scope.names.add('arguments')
    for (const p of node.params) patternNames(p, scope.names)
    if (node.body.type === 'BlockStatement') {
      hoistVars(node.body, scope.names)
      declareLexical(node.body.body, scope.names)
    }
    const inside = { scope, own: arrow ? at.own : true, home: arrow ? at.home : home }
    for (const p of node.params) pattern(p, inside)
    if (node.body.type === 'BlockStatement') all(node.body.body, inside)
    else visit(node.body, inside)
  }
  const klass = (node: Any, at: At): void => {
    const scope = new Scope(at.scope, false)
    if (node.id) scope.names.add(node.id.name)
    if (node.superClass) visit(node.superClass, { ...at, scope })
    for (const m of node.body.body) {
      if (m.computed) visit(m.key, { ...at, scope })
      if (m.type === 'MethodDefinition') fn(m.value, { scope, own: true, home: true }, true)
      else if (m.type === 'StaticBlock') {
        const block = new Scope(scope, true)
        hoistVars(m, block.names)
        declareLexical(m.body, block.names)
        all(m.body, { scope: block, own: true, home: true })
      } else if (m.value) visit(m.value, { scope, own: true, home: true })
    }
  }
  const visit = (node: Any, at: At): void => {
    if (!node || skip.has(node)) return
    switch (node.type) {
      case 'Identifier':
        refer(node.name, at.scope, null)
        return
      case 'MemberExpression':
        if (node.object.type === 'Identifier' && !node.computed && !skip.has(node.object))
          refer(node.object.name, at.scope, node.property.name ?? null)
        else visit(node.object, at)
        if (node.computed) visit(node.property, at)
        return
      case 'ThisExpression':
        if (!at.own) uses.outerThis.push(node.start)
        return
      case 'Super':
        if (!at.home) uses.usesSuper = true
        return
      case 'MetaProperty':
        if (node.meta.name === 'import') uses.metas.push(node.start)
        else if (!at.own) uses.usesNewTarget = true
        return
      case 'ArrowFunctionExpression':
      case 'FunctionExpression':
      case 'FunctionDeclaration':
        fn(node, at, false)
        return
      case 'ClassExpression':
      case 'ClassDeclaration':
        klass(node, at)
        return
      case 'Property':
        if (node.computed) visit(node.key, at)
        // A method of an object literal inside the function has a home object that travels with it.
        if (node.method || node.kind === 'get' || node.kind === 'set') fn(node.value, at, node !== rootMethod)
        else pattern(node.value, at)
        return
      case 'LabeledStatement':
        visit(node.body, at)
        return
      case 'BreakStatement':
      case 'ContinueStatement':
      case 'TemplateElement':
      case 'Literal':
        return
      case 'VariableDeclaration':
        for (const d of node.declarations) {
          pattern(d.id, at)
          visit(d.init, at)
        }
        return
      case 'BlockStatement':
      case 'ForStatement':
      case 'ForInStatement':
      case 'ForOfStatement':
      case 'SwitchStatement':
      case 'CatchClause': {
        const scope = new Scope(at.scope, false)
        if (node.type === 'BlockStatement') declareLexical(node.body, scope.names)
        else if (node.type === 'SwitchStatement') for (const c of node.cases) declareLexical(c.consequent, scope.names)
        else if (node.type === 'CatchClause') patternNames(node.param, scope.names)
        else
          declareLexical(
            [node.init ?? node.left].filter((n: Any) => n?.type === 'VariableDeclaration'),
            scope.names,
          )
        const inside = { ...at, scope }
        if (node.type === 'CatchClause') {
          pattern(node.param, inside)
          visit(node.body, inside)
        } else all(children(node), inside)
        return
      }
      case 'AssignmentExpression':
        pattern(node.left, at)
        visit(node.right, at)
        return
      default:
        all(children(node), at)
    }
  }
  const object = root as Any
  const rootMethod = object.type === 'ObjectExpression' ? object.properties[0] : null
  visit(rootMethod ?? root, { scope: new Scope(null, true), own: false, home: false })
  return uses
}
