// Promises whose continuations run when the model says so: enough of them for async functions.

type Settle = (value?: any) => void

export class Microtasks {
  readonly #queue: (() => void)[] = []
  add(task: () => void): void {
    this.#queue.push(task)
  }
  drain(): void {
    for (let task = this.#queue.shift(); task !== undefined; task = this.#queue.shift()) task()
  }
}

/** A class of promises over these microtasks. */
export function promiseClass(microtasks: Microtasks) {
  return class ModelPromise {
    state: 'pending' | 'resolved' | 'rejected' = 'pending'
    value: any
    #then: { resolved: Settle; rejected: Settle }[] = []

    constructor(executor: (resolve: Settle, reject: Settle) => void) {
      executor(
        (value) => this.#resolve(value),
        (reason) => this.#settle('rejected', reason),
      )
    }
    static resolve(value: any): ModelPromise {
      return value instanceof ModelPromise ? value : new ModelPromise((resolve) => resolve(value))
    }
    // biome-ignore lint/suspicious/noThenProperty: it is a promise
    then(onResolved?: (value: any) => any, onRejected?: (reason: any) => any): ModelPromise {
      return new ModelPromise((resolve, reject) => {
        const run = (handler: ((value: any) => any) | undefined, otherwise: Settle) => (value: any) => {
          if (handler === undefined) return otherwise(value)
          let result: any
          try {
            result = handler(value)
          } catch (error) {
            return reject(error)
          }
          resolve(result)
        }
        const handlers = { resolved: run(onResolved, resolve), rejected: run(onRejected, reject) }
        if (this.state === 'pending') this.#then.push(handlers)
        else microtasks.add(() => handlers[this.state as 'resolved' | 'rejected'](this.value))
      })
    }
    #resolve(value: any): void {
      if (value instanceof ModelPromise)
        value.then(
          (v) => this.#settle('resolved', v),
          (r) => this.#settle('rejected', r),
        )
      else this.#settle('resolved', value)
    }
    #settle(state: 'resolved' | 'rejected', value: any): void {
      if (this.state !== 'pending') return
      this.state = state
      this.value = value
      for (const handlers of this.#then.splice(0)) microtasks.add(() => handlers[state](value))
    }
  }
}
