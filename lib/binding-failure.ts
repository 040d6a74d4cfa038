// Why the addon was not found or cannot be loaded, in words: what was looked for, where, and what to do about it.
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'

const built = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64', 'win32-x64']
const system = `${process.platform}-${process.arch}`
const help = 'See docs/deploying.md of the package.'

const namesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** The C library of this Linux, if it is glibc. */
function glibc(): string | undefined {
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } }
  return header.glibcVersionRuntime
}

/** For a package whose folder is `root`. */
export function whyNotFound(root: string): string {
  const [compiled, prebuilt] = [join(root, 'build', 'Release'), join(root, 'prebuilds')]
  const tried =
    `multiproc: no native addon for ${system} (Node-API 8). Looked in ${compiled}, ${join(prebuilt, system)} and ` +
    `${join(dirname(process.execPath), 'prebuilds', system)}. `
  if (!existsSync(join(root, 'binding.d.ts')))
    return (
      `${tried}${root} is not the package's own folder: a bundler has put the package's code into a file of the program's. ` +
      `Keep 'multiproc' external, and ship node_modules/multiproc beside the bundle. ${help}`
    )
  const folders = namesIn(prebuilt).filter((name) => built.includes(name))
  if (folders.length > 0 && !folders.includes(system) && built.includes(system))
    return (
      `${tried}There are binaries for ${folders.join(', ')} only: the package was cut down, or copied from another system. ` +
      `Run 'npm ci' on this system. ${help}`
    )
  const there = namesIn(join(prebuilt, system))
  if (there.length > 0)
    return (
      `${tried}There is ${there.join(', ')}, which is not for this C library (${glibc() ?? 'not glibc'}). ` +
      `Install the package whole: it has binaries for glibc and for musl. ${help}`
    )
  if (!built.includes(system))
    return (
      `${tried}There are prebuilt binaries for ${built.join(', ')}. ` +
      `For another system the addon has to be built: clone the repository and run 'npm run build' (C++ compiler, cmake).`
    )
  return (
    `${tried}In a clone, run 'npm run build' (C++ compiler, cmake). Installed from npm, files are missing: ` +
    `something left out *.node files when it copied the package. ${help}`
  )
}

/** `error` is what loading `file` threw. */
export function whyNotLoaded(file: string, error: Error): string {
  const text = error.message
  const said = `multiproc: the native addon ${file} cannot be loaded here: ${text}. `
  if (file.includes(`.asar${sep}`) || !existsSync(file))
    return `${said}The file is not on the disk: if it lies in an archive, leave node_modules/multiproc unpacked. ${help}`
  const wanted = /GLIBC_[\d.]+/.exec(text)?.[0]
  if (wanted !== undefined)
    return (
      `${said}It needs ${wanted.replace('_', ' ')}, this system has ${glibc() ?? 'another C library'}. ` +
      `The prebuilt binaries run with glibc 2.28 and later; for an older one, build the addon on that system.`
    )
  if (process.platform === 'linux' && /lib(c|m|dl|pthread)\.|ld-(linux|musl)|symbol not found|invalid ELF/.test(text))
    return (
      `${said}It is for another C library or another system than this one (${system}, ${glibc() ?? 'not glibc'}): ` +
      `node_modules was copied, or LIBC (${process.env.LIBC ?? 'not set'}) says otherwise. Run 'npm ci' on this system. ${help}`
    )
  if (
    /invalid ELF|file too short|mach-o|incompatible architecture|not a valid Win32|wrong ELF class|Exec format/.test(
      text,
    )
  )
    return `${said}It is for another system than this one (${system}): node_modules was copied. Run 'npm ci' here. ${help}`
  return `${said}${help}`
}
