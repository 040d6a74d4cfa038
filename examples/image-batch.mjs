// A folder of images is made smaller by all cores. Without arguments the folder is made first, of 24 pictures and one broken file.
//
//   node examples/image-batch.mjs [FOLDER OF PNGS] [OUTPUT FOLDER]
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { isMain, Pool } from 'multiproc'
import { PNG } from 'pngjs'

/** Runs in a worker: decodes one file, halves it, writes it. What it throws comes back as what it was. */
async function halve(file, folder) {
  const image = PNG.sync.read(await readFile(file))
  const small = new PNG({ width: image.width >> 1, height: image.height >> 1 })
  for (let y = 0; y < small.height; y++)
    for (let x = 0; x < small.width; x++)
      for (let c = 0; c < 4; c++) {
        const at = (2 * y * image.width + 2 * x) * 4 + c
        const below = at + image.width * 4
        const four = image.data[at] + image.data[at + 4] + image.data[below] + image.data[below + 4]
        small.data[(y * small.width + x) * 4 + c] = four / 4
      }
  const bytes = PNG.sync.write(small)
  await writeFile(join(folder, basename(file)), bytes)
  return { file: basename(file), bytes: bytes.length }
}

/** Something to work on: colours that run into each other, another for each picture. */
function picture(n, size) {
  const image = new PNG({ width: size, height: size })
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++)
      image.data.set([(x * n) % 256, (y + n * 10) % 256, (x ^ y) % 256, 255], (y * size + x) * 4)
  return PNG.sync.write(image)
}

if (isMain(import.meta)) {
  const work = await mkdtemp(join(tmpdir(), 'images-'))
  const [input = join(work, 'large'), output = join(work, 'small')] = process.argv.slice(2)
  await mkdir(output, { recursive: true })
  if (process.argv[2] === undefined) {
    await mkdir(input)
    for (let n = 1; n <= 24; n++) await writeFile(join(input, `${n}.png`), picture(n, 256))
    await writeFile(join(input, 'broken.png'), 'no picture')
  }
  const files = (await readdir(input)).filter((name) => name.endsWith('.png')).map((name) => join(input, name))

  const pool = new Pool()
  let [before, after, done] = [0, 0, 0]
  // Results as they come; `settle`: a file that fails is a result like any other.
  for await (const { status, value, reason } of pool.imapUnordered((file) => halve(file, output), files, {
    settle: true,
  })) {
    if (status === 'rejected') console.log(`left out: ${reason.message}`)
    else {
      before += (await stat(join(input, value.file))).size
      after += value.bytes
      done++
    }
  }
  pool.close()
  await pool.join()
  console.log(`${done} of ${files.length} images: ${after < before ? 'smaller' : 'larger'} than before`)
  await rm(work, { recursive: true })
}
