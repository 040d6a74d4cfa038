// What test files import in place of vitest under wine, where its native parts do not load: the runner and the
// matchers are vitest's own, which are plain JavaScript.
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  ChaiStyleAssertions,
  customMatchers,
  GLOBAL_EXPECT,
  getState,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
} from '@vitest/expect'
import { getCurrentTest } from '@vitest/runner'
import * as chai from 'chai'

export { afterAll, afterEach, beforeAll, beforeEach, describe, it, test } from '@vitest/runner'

chai.use(JestExtend)
chai.use(JestChaiExpect)
chai.use(ChaiStyleAssertions)
chai.use(JestAsymmetricMatchers)

export function expect(value, message) {
  const assertion = chai.expect(value, message)
  const test = getCurrentTest()
  return test ? assertion.withTest(test) : assertion
}
Object.assign(expect, chai.expect, globalThis[ASYMMETRIC_MATCHERS_OBJECT])
expect.getState = () => getState(expect)
expect.setState = (state) => setState(state, expect)
expect.unreachable = (message) => chai.assert.fail(`expected ${message ?? 'not to be reached'}`)
/** Any matcher, tried again until it holds. */
expect.poll = (get, { interval = 50, timeout = 1000 } = {}) =>
  new Proxy(
    {},
    {
      get: (_, matcher) =>
        async function poll(...args) {
          const deadline = performance.now() + timeout
          for (;;)
            try {
              return await expect(await get())[matcher](...args)
            } catch (error) {
              if (performance.now() > deadline) throw error
              await new Promise((resolve) => setTimeout(resolve, interval))
            }
        },
    },
  )
Object.defineProperty(globalThis, GLOBAL_EXPECT, { value: expect, writable: true, configurable: true })
setState({ assertionCalls: 0, isExpectingAssertions: false, isExpectingAssertionsError: null }, expect)
chai.expect.extend(expect, customMatchers)
