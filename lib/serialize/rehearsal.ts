// A message such as every child gets, decoded only so that V8 compiles what decoding needs: its compiled code goes to children
// (process/start/compiled.ts), and a forkserver's template has it before it is copied. Written down here, since encoding a
// function of the package's own would parse the whole package.
import { decodeAtOnce } from './decode'
import type { Graph } from './wire'
import { graphBytes } from './wire-bytes'

const URL_OF_NOBODY = process.platform === 'win32' ? 'file:///C:/rehearsal.mjs' : 'file:///rehearsal.mjs'

/** What encode() gives for `[undefined, {}, () => {}, [{}]]`: header, options, target, arguments. */
const graph: Graph = {
  root: 0,
  nodes: [
    {
      t: 'array',
      length: 4,
      props: [
        ['0', [], 7],
        ['1', 1, 7],
        ['2', 2, 7],
        ['3', 3, 7],
      ],
    },
    { t: 'object' },
    {
      t: 'function',
      text: '()=>{}',
      form: 'expression',
      isClass: false,
      module: 0,
      strict: true,
      at: { url: URL_OF_NOBODY, line: 0, column: 0 },
      name: '',
      captured: [],
    },
    { t: 'array', length: 1, props: [['0', 4, 7]] },
    { t: 'object' },
  ],
  modules: [{ url: URL_OF_NOBODY, bindings: [] }],
}

export function rehearseDecoding(): void {
  decodeAtOnce(graphBytes(graph))
}
