// References that the user writes down: an exported function by the address of its module.
import { fileURLToPath, pathToFileURL } from 'node:url'
import { checkString, invalidType, invalidValue } from '../check'
import { importerFrom } from './imports'
import { setReference } from './references'

/**
 * Names an exported function of a module, for use as a target or pool function wherever functions cannot be read (`--permission`, a
 * Node without inspector), or to be sure that a function travels by reference.
 *
 * @param url the module: a `file:` URL (`import.meta.url`), an absolute path, or a URL object
 * @param name the export, or a member of one: `'work'`, `'Job.run'`, `'default'`
 * @returns a function that travels as that reference; calling it here imports the module on the first call and returns a promise
 * of the result. It does not block.
 * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
 *
 * ```ts
 * new Process({ target: fnRef(import.meta.url, 'work'), args: [1] })
 * ```
 */
export function fnRef(url: string | URL, name: string): (...args: any[]) => any {
  if (typeof url !== 'string' && !(url instanceof URL)) throw invalidType('url', 'a URL or an absolute path', url)
  checkString('name', name)
  const href = typeof url === 'string' && /^([/\\]|[a-zA-Z]:[\\/])/.test(url) ? pathToFileURL(url).href : String(url)
  if (!/^file:/.test(href)) throw invalidValue('url', 'a file: URL or an absolute path', url)
  fileURLToPath(href)
  const path = name.split('.')
  if (path.some((part) => part === ''))
    throw invalidValue('name', 'the name of an export, or a path of names with dots', name)
  const reference = async (...args: any[]): Promise<any> => {
    const namespace = await importerFrom(href)(href)
    let owner: any
    let value: any = path[0]! in namespace ? namespace : namespace.default
    for (const key of path) {
      owner = value
      value = value?.[key]
    }
    if (typeof value !== 'function') throw invalidValue('name', `a function that ${href} exports`, name)
    return value.apply(path.length > 1 ? owner : undefined, args)
  }
  Object.defineProperty(reference, 'name', { value: path.at(-1), configurable: true })
  setReference(reference, { t: 'export', url: href, path })
  return reference
}
