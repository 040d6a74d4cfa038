// A struct definition travels as its plain description; what arrives is read as hostile.
import { describe as describeTests, expect, it } from 'vitest'
import { array, bytes, describe, fromDescription, struct, typeFrom } from '../../lib/shared/struct'

const Point = struct({
  x: 'd',
  tag: bytes(3),
  g: array('i', 2),
  inner: struct({ q: 'q' }),
  many: array(struct({ z: 'b' }), 2),
})

it('gives the same layout back', () => {
  const received = fromDescription(structuredClone(describe(Point as never)))
  expect(received).toEqual(Point)
  expect(String(received)).toBe(String(Point))
})

it('gives the same type for the same definition', () => {
  expect(fromDescription(describe(Point as never))).toBe(fromDescription(describe(Point as never)))
})

function nested(depth: number): unknown {
  let description: unknown = 'i'
  for (let i = 0; i < depth; i++)
    description = [
      'struct',
      [
        ['a', description],
        ['b', description],
      ],
    ]
  return description
}

describeTests('refuses', () => {
  const lists: [string, unknown][] = [
    ['nothing', undefined],
    ['a name that is none', 'int'],
    ['an object', { struct: [] }],
    ['a struct without fields', ['struct', []]],
    ['fields that are none', ['struct', [5]]],
    ['a field twice', ['struct', [['a', 'i'], ['a', 'i']]]], // biome-ignore format: one case a line
    ['a field named __proto__', ['struct', [['__proto__', 'i']]]],
    ['a number as field name', ['struct', [[1, 'i']]]],
    ['an array of arrays', ['array', ['array', 'i', 2], 2]],
    ['an array of negative length', ['struct', [['a', ['array', 'i', -1]]]]],
    ['an array larger than a struct may be', ['struct', [['a', ['array', 'd', 2 ** 31]]]]],
    [
      'a sum of fields larger than a struct may be',
      [
        'struct',
        [
          ['a', ['bytes', 2 ** 31]],
          ['b', 'i'],
        ],
      ],
    ],
    ['what unfolds to more members than anybody means', nested(30)],
    ['what is nested without end', Array.from({ length: 100 }).reduce((inner) => ['struct', [['a', inner]]], 'i')],
  ]
  it.each(lists)('%s', (_, description) => {
    expect(() => fromDescription(description)).toThrow(expect.objectContaining({ code: 'ERR_MP_SERIALIZATION' }))
  })
  it('an array or bytes as the type of a value', () => {
    for (const description of [
      ['array', 'i', 2],
      ['bytes', 2],
    ])
      expect(() => typeFrom(description)).toThrow(expect.objectContaining({ code: 'ERR_MP_SERIALIZATION' }))
  })
})
