// A message of 5 GB: lengths of more than 32 bits. Takes 10 GB of memory and half a minute, so it runs in `npm run soak` only.
import { constants } from 'node:buffer'
import * as mp from 'multiproc'
import { expect, it } from 'vitest'

const LENGTH = 625_000_000
const soaks = process.env.MULTIPROC_KILLS !== undefined

it.runIf(soaks && constants.MAX_LENGTH > 2 ** 32)(
  '5 GB arrive whole (Node 22 and later)',
  { timeout: 600_000 },
  async () => {
    const [here, there] = mp.Pipe()
    const child = new mp.Process({
      target: () => {
        const array: Float64Array = there.recvSync()
        there.sendSync([array.length, array[0], array[array.length >> 1], array[array.length - 1]])
      },
    })
    child.start()
    const array = new Float64Array(LENGTH)
    array[0] = 1
    array[LENGTH >> 1] = 2
    array[LENGTH - 1] = 3
    here.sendSync(array)
    expect(here.recvSync()).toEqual([LENGTH, 1, 2, 3])
    await child.join()
  },
)

it.runIf(constants.MAX_LENGTH <= 2 ** 32)('Node 20 says that it cannot take more than 4 GiB', async () => {
  const [here] = mp.Pipe()
  await expect(here.send({ samples: new Float64Array(LENGTH) })).rejects.toThrow(
    /value\.samples has 5000000000 bytes, more than this version of Node can take in one array; send it in parts/,
  )
})
