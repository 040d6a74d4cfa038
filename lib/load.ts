// dist/index.cjs: runs the package from a script of its own, so that what V8 has compiled of it can be handed to children,
// which then start several ms earlier (process/start/compiled.ts).
import { join } from 'node:path'
import type { Script } from 'node:vm'
import { packageScript } from './process/ticket'

const file = join(__dirname, 'multiproc.cjs')
let script: Script
try {
  script = packageScript(file)
} catch (cause) {
  if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
  // Plain, for all classes of errors are in the file that is not there.
  throw Object.assign(
    new Error(
      `multiproc: there is no ${file}: a bundler has put a part of the package into a file of the program's. Keep 'multiproc' ` +
        'external, and ship node_modules/multiproc beside the bundle. See docs/deploying.md of the package.',
      { cause },
    ),
    { code: 'ERR_MP_NO_ADDON' },
  )
}
script.runInThisContext().call(module.exports, module.exports, require, module, file, __dirname, script)
