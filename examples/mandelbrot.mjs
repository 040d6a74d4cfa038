// The Mandelbrot set over all cores: every process takes the next row from a shared counter and draws it into one shared image.
// Rows cost very different amounts of time: nobody is given more than it can do, since each takes a row when it is ready.
//
//   node examples/mandelbrot.mjs [WIDTH] [FILE.png]
import { createWriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import { cpuCount, isMain, Process, SharedArray, Value } from 'multiproc'
import { PNG } from 'pngjs'

const LIMIT = 500

/** Draws rows until there are none left. `pixels` is memory of all processes: nothing is sent back. */
function draw(pixels, next, width, height) {
  const rows = []
  for (let y = next.add(1); y < height; y = next.add(1)) {
    rows.push(y)
    for (let x = 0; x < width; x++) {
      const cx = (x / width) * 3.2 - 2.2
      const cy = (y / height) * 2.4 - 1.2
      let [a, b, n] = [0, 0, 0]
      while (a * a + b * b < 4 && n < LIMIT) [a, b, n] = [a * a - b * b + cx, 2 * a * b + cy, n + 1]
      const t = n === LIMIT ? 0 : (n / LIMIT) ** 0.35
      pixels.set([255 * t, 200 * t * t, n === LIMIT ? 0 : 90 + 120 * t, 255], (y * width + x) * 4)
    }
  }
  return rows.length
}

if (isMain(import.meta)) {
  const width = Number(process.argv[2] ?? 1200)
  const height = Math.round(width * 0.75)
  const pixels = new SharedArray('uint8', width * height * 4)
  const next = new Value('int32', 0)

  const started = performance.now()
  const children = Array.from(
    { length: cpuCount() },
    () => new Process({ target: draw, args: [pixels, next, width, height] }),
  )
  for (const child of children) child.start()
  await Promise.all(children.map((child) => child.join()))
  let inside = 0
  for (let i = 2; i < pixels.length; i += 4) if (pixels[i] === 0) inside++
  console.log(`${width} × ${height} in ${Math.round(performance.now() - started)} ms by ${children.length} processes`)
  console.log(`${((100 * inside) / (width * height)).toFixed(1)} % of the points are in the set`)

  if (process.argv[3] !== undefined) {
    const image = new PNG({ width, height })
    image.data.set(pixels)
    await finished(image.pack().pipe(createWriteStream(process.argv[3])))
    console.log(`written to ${process.argv[3]}`)
  }
}
