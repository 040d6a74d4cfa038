// dist/index.cjs: runs the package from a script of its own, so that what V8 has compiled of it can be handed to children,
// which then start several ms earlier (process/start/compiled.ts).
import { join } from 'node:path'
import { packageScript } from './process/ticket'

const file = join(__dirname, 'multiproc.cjs')
const script = packageScript(file)
script.runInThisContext().call(module.exports, module.exports, require, module, file, __dirname, script)
