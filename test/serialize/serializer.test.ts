// setSerializer: a wire format of the user's own.
import { createRequire } from 'node:module'
import { afterEach, beforeAll, expect, it } from 'vitest'
import { bundleSerialize } from '../fixtures/serialize/bundle'

let mp: any
beforeAll(async () => {
  mp = createRequire(import.meta.url)(`${await bundleSerialize('serializer')}/index.cjs`)
})
afterEach(() => mp.setSerializer(null))

const json = {
  serialize: (value: unknown) => Buffer.from(JSON.stringify(value)),
  deserialize: (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString()),
}

it('writes and reads messages of a kind of their own', async () => {
  expect(mp.serializer()).toBeNull()
  mp.setSerializer(json)
  expect(mp.serializer()).toBe(json)
  const message = mp.encodeCustom(mp.serializer(), { a: [1, null] })
  expect(message[0]).toBe(mp.CUSTOM)
  expect(mp.decodeSync(message)).toEqual({ a: [1, null] })
  expect(await mp.decode(message)).toEqual({ a: [1, null] })
})
it('its methods have their object as `this`, and its bytes are its own', () => {
  class Counting {
    calls = 0
    serialize(value: unknown) {
      this.calls++
      return json.serialize(value)
    }
    deserialize(bytes: Uint8Array) {
      this.calls++
      return bytes
    }
  }
  const counting = new Counting()
  mp.setSerializer(counting)
  const message = Buffer.from(mp.encodeCustom(counting, 'x'))
  const kept = mp.decodeSync(message)
  message.fill(0)
  expect(Buffer.from(kept).toString()).toBe('"x"')
  expect(counting.calls).toBe(2)
})
it('messages of the package stay readable; its own are not without it', () => {
  mp.setSerializer(json)
  const message = mp.encodeCustom(json, 1)
  expect(mp.decodeSync(mp.encode(new Map([[1, 2]]), { name: 'v' }))).toEqual(new Map([[1, 2]]))
  mp.setSerializer(null)
  expect(() => mp.decodeSync(message)).toThrow(
    expect.objectContaining({ code: 'ERR_MP_SERIALIZATION', message: expect.stringContaining('setSerializer()') }),
  )
})
it('what its functions throw comes out; a result that is no Uint8Array is named', () => {
  const error = new RangeError('mine')
  const throwing = {
    serialize() {
      throw error
    },
    deserialize() {
      throw error
    },
  }
  mp.setSerializer(throwing)
  expect(() => mp.encodeCustom(throwing, 1)).toThrow(error)
  expect(() => mp.decodeSync(mp.encodeCustom(json, 1))).toThrow(error)
  for (const result of ['text', undefined, new ArrayBuffer(1), [1], Promise.resolve(Buffer.of(1))])
    expect(() => mp.encodeCustom({ serialize: () => result }, 1)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE', message: expect.stringContaining('a Uint8Array') }),
    )
})
it('checks its argument and keeps what it had where that is wrong', () => {
  mp.setSerializer(json)
  const wrong: [unknown, string][] = [
    [undefined, 'serializer'],
    [1, 'serializer'],
    ['json', 'serializer'],
    [{}, 'serializer.serialize'],
    [{ serialize: json.serialize }, 'serializer.deserialize'],
    [{ serialize: 1, deserialize: json.deserialize }, 'serializer.serialize'],
  ]
  for (const [value, name] of wrong)
    expect(() => mp.setSerializer(value)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE', message: expect.stringContaining(`"${name}"`) }),
    )
  expect(mp.serializer()).toBe(json)
})
