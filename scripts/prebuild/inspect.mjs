// Reads what a built binary needs of the system that loads it, out of its ELF, Mach-O or PE headers.
import { createHash } from 'node:crypto'
import { glibc, maxBytes, targets } from './targets.mjs'

/** All that speaks against publishing this binary, as sentences. */
export function problemsOf(name, bytes) {
  const { platform, arch, libc } = targets[name]
  let found
  try {
    found = { linux: readElf, darwin: readMachO, win32: readPe }[platform](bytes)
  } catch (error) {
    return [`not a binary for ${platform}: ${error.message}`]
  }
  const problems = []
  if (found.arch !== arch) problems.push(`it is for ${found.arch}, not ${arch}`)
  if (!found.exports.includes('napi_register_module_v1')) problems.push('it does not export napi_register_module_v1')
  for (const library of found.libraries) {
    const allowed = libc === 'musl' ? libraries.musl : libraries[platform]
    if (!allowed.test(library)) problems.push(`it needs ${library}, which not every such system has`)
  }
  for (const version of found.versions) {
    const newer = version.startsWith('GLIBC_') && compare(version.slice(6), glibc) > 0
    if (newer || libc === 'musl') problems.push(`it needs ${version}, newer than ${libc} ${glibc}`)
  }
  // On Intel none is asked for.
  if (found.signed === false && arch === 'arm64')
    problems.push('it has no code signature: macOS would kill the process that loads it')
  if (found.debug) problems.push('it is not stripped')
  if (bytes.length > maxBytes) problems.push(`it has ${bytes.length} bytes, more than ${maxBytes}`)
  return problems
}

/** The libraries that every system of a kind has. Of Windows: what Windows itself brings since Windows 10. */
const libraries = {
  linux: /^(lib(c|m|dl|pthread|rt)\.so\.\d+|ld-linux-[\w-]+\.so\.\d)$/,
  musl: /^(libc\.so|libc\.musl-\w+\.so\.1)$/,
  darwin: /^\/usr\/lib\/lib(System\.B|c\+\+\.1)\.dylib$/,
  win32: /^(kernel32|advapi32|ntdll|ws2_32|msvcrt|iphlpapi|api-ms-win-core-synch-l1-2-0|node)\.(dll|exe)$/i,
}

function compare(a, b) {
  const [x, y] = [a.split('.').map(Number), b.split('.').map(Number)]
  for (let i = 0; i < Math.max(x.length, y.length); i++)
    if ((x[i] ?? 0) !== (y[i] ?? 0)) return (x[i] ?? 0) - (y[i] ?? 0)
  return 0
}

const text = (bytes, at) => bytes.toString('latin1', at, bytes.indexOf(0, at))
const number = (bytes, at) => Number(bytes.readBigUInt64LE(at))

function readElf(bytes) {
  if (bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2) throw new Error('no 64-bit ELF header')
  const arch = { 62: 'x64', 183: 'arm64' }[bytes.readUInt16LE(18)]
  const [at, size, count, names] = [
    number(bytes, 40),
    bytes.readUInt16LE(58),
    bytes.readUInt16LE(60),
    bytes.readUInt16LE(62),
  ]
  const sections = Array.from({ length: count }, (_, i) => {
    const s = at + i * size
    return {
      name: bytes.readUInt32LE(s),
      type: bytes.readUInt32LE(s + 4),
      at: number(bytes, s + 24),
      size: number(bytes, s + 32),
      link: bytes.readUInt32LE(s + 40),
      info: bytes.readUInt32LE(s + 44),
    }
  })
  for (const section of sections) section.name = text(bytes, sections[names].at + section.name)
  const of = (type) => sections.find((section) => section.type === type)
  const [dynamic, symbols, needs] = [of(6), of(11), of(0x6ffffffe)]
  const strings = sections[dynamic.link].at

  const libraries = []
  for (let i = dynamic.at; i < dynamic.at + dynamic.size; i += 16)
    if (number(bytes, i) === 1) libraries.push(text(bytes, strings + number(bytes, i + 8)))

  const exports = []
  for (let i = symbols.at; i < symbols.at + symbols.size; i += 24)
    if (bytes.readUInt16LE(i + 6) !== 0) exports.push(text(bytes, strings + bytes.readUInt32LE(i)))

  // .gnu.version_r: for each library a list of the versions that are needed of it.
  const versions = []
  for (let i = 0, library = needs?.at; needs !== undefined && i < needs.info; i++) {
    for (let j = 0, need = library + bytes.readUInt32LE(library + 8); j < bytes.readUInt16LE(library + 2); j++) {
      versions.push(text(bytes, strings + bytes.readUInt32LE(need + 8)))
      need += bytes.readUInt32LE(need + 12)
    }
    library += bytes.readUInt32LE(library + 12)
  }
  return {
    arch,
    libraries,
    exports,
    versions,
    debug: sections.some((section) => /^\.(symtab|debug_)/.test(section.name)),
  }
}

function readMachO(bytes) {
  if (bytes.readUInt32LE(0) !== 0xfeedfacf) throw new Error('no 64-bit Mach-O header')
  const arch = { 16777223: 'x64', 16777228: 'arm64' }[bytes.readUInt32LE(4)]
  const found = { arch, libraries: [], exports: [], versions: [], signed: false, debug: false }
  for (let i = 0, at = 32; i < bytes.readUInt32LE(16); i++) {
    const command = bytes.readUInt32LE(at)
    if (command === 0xc || command === 0x80000018) found.libraries.push(text(bytes, at + bytes.readUInt32LE(at + 8)))
    if (command === 0x2) readSymbols(bytes, at, found)
    if (command === 0x1d) found.signed = isSigned(bytes, bytes.readUInt32LE(at + 8))
    at += bytes.readUInt32LE(at + 4)
  }
  return found
}

function readSymbols(bytes, at, found) {
  const [symbols, count, strings] = [8, 12, 16].map((field) => bytes.readUInt32LE(at + field))
  for (let i = symbols; i < symbols + count * 16; i += 16) {
    const type = bytes[i + 4]
    if (type & 0xe0) found.debug = true
    else if ((type & 0x0f) === 0x0f) found.exports.push(text(bytes, strings + bytes.readUInt32LE(i)).slice(1))
  }
}

/** Do the hashes of the signature's code directory fit the file? (Stripping it afterwards leaves those of before.) */
function isSigned(bytes, at) {
  if (bytes.readUInt32BE(at) !== 0xfade0cc0) return false
  for (let i = 0; i < bytes.readUInt32BE(at + 8); i++) {
    const directory = at + bytes.readUInt32BE(at + 16 + i * 8)
    if (bytes.readUInt32BE(directory) !== 0xfade0c02) continue
    const [hashes, , slots, limit] = [16, 24, 28, 32].map((field) => bytes.readUInt32BE(directory + field))
    const [length, page] = [bytes[directory + 36], 2 ** bytes[directory + 39]]
    return (
      limit <= at &&
      Array.from({ length: slots }, (_, slot) => slot).every((slot) => {
        const hash = createHash('sha256')
          .update(bytes.subarray(slot * page, Math.min((slot + 1) * page, limit)))
          .digest()
        const recorded = directory + hashes + slot * length
        return hash.subarray(0, length).equals(bytes.subarray(recorded, recorded + length))
      })
    )
  }
  return false
}

function readPe(bytes) {
  const header = bytes.readUInt32LE(0x3c)
  if (text(bytes, header) !== 'PE') throw new Error('no PE header')
  const arch = { 34404: 'x64', 43620: 'arm64' }[bytes.readUInt16LE(header + 4)]
  const [sectionCount, symbolCount, optionalSize] = [
    bytes.readUInt16LE(header + 6),
    bytes.readUInt32LE(header + 16),
    bytes.readUInt16LE(header + 20),
  ]
  const optional = header + 24
  const sections = Array.from({ length: sectionCount }, (_, i) => {
    const s = optional + optionalSize + i * 40
    return {
      from: bytes.readUInt32LE(s + 12),
      size: Math.max(bytes.readUInt32LE(s + 8), bytes.readUInt32LE(s + 16)),
      at: bytes.readUInt32LE(s + 20),
    }
  })
  const place = (address) => {
    const section = sections.find(({ from, size }) => address >= from && address < from + size)
    return address - section.from + section.at
  }
  const directory = (index) => bytes.readUInt32LE(optional + 112 + index * 8)
  const namesAt = (table, entry, field) => {
    const names = []
    if (table !== 0)
      for (let i = place(table); bytes.readUInt32LE(i + field) !== 0; i += entry)
        names.push(text(bytes, place(bytes.readUInt32LE(i + field))))
    return names
  }
  const exports = []
  if (directory(0) !== 0) {
    const table = place(directory(0))
    for (let i = 0; i < bytes.readUInt32LE(table + 24); i++)
      exports.push(text(bytes, place(bytes.readUInt32LE(place(bytes.readUInt32LE(table + 32)) + i * 4))))
  }
  const libraries = [...namesAt(directory(1), 20, 12), ...namesAt(directory(13), 32, 4)] // 13: loaded when first called
  return { arch, libraries, exports, versions: [], debug: symbolCount > 0 }
}
