// Builds the site of the documents into build/site: README.md, the guides in the order of need, the examples, and the reference
// of all that the package exports. Fails if an export has no doc comment, or a link leads nowhere.
//
//   npm run docs            build
//   npm run docs:check      build, and look at each page (scripts/docs/check.mjs)
import { readdirSync } from 'node:fs'
import { register } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

register('./docs/typescript.mjs', import.meta.url)
const { Application, Comment, CommentTag, Converter, JSX, ReflectionKind } = await import('typedoc')

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const site = join(root, 'build', 'site')

/** The documents, in the order of need. */
const DOCUMENTS = {
  Guides:
    `start-here processes sharing-state messages pools managers start-methods crash-safety python deploying troubleshooting
    how-it-works`.split(/\s+/),
  'In depth':
    `locks synchronisation serialization shared-dict shared-memory descriptors listener cluster diagnosis platforms
    benchmarks`.split(/\s+/),
  'The project': ['../examples/README', '../CHANGELOG'],
}
const REFERENCE = 'API reference'
const placed = Object.values(DOCUMENTS).flat()
const forgotten = readdirSync(join(root, 'docs')).filter(
  (name) => name.endsWith('.md') && !placed.includes(name.slice(0, -3)),
)
if (forgotten.length > 0) throw new Error(`scripts/docs.mjs has no place for ${forgotten.join(', ')}`)

/** Code that is indented, in doc comments, gets its colours like code between fences. */
function colourIndented(parser) {
  parser.renderer.rules.code_block = (tokens, at, options, env, self) => {
    tokens[at].info = 'ts'
    return self.rules.fence(tokens, at, options, env, self)
  }
}

const app = await Application.bootstrap({
  name: 'multiproc',
  includeVersion: true,
  entryPoints: ['lib/index.ts', 'lib/cluster/index.ts'].map((path) => join(root, path)),
  tsconfig: join(root, 'tsconfig.json'),
  basePath: root,
  readme: join(root, 'README.md'),
  projectDocuments: placed.map((name) => join(root, 'docs', `${name}.md`)),
  out: site,
  disableGit: true,
  disableSources: true,
  hideGenerator: true,
  excludePrivate: true,
  excludeInternal: true,
  excludeExternals: true,
  searchInDocuments: true,
  searchInComments: true,
  includeHierarchySummary: false,
  headings: { readme: false, document: false },
  navigation: { includeGroups: true, includeCategories: false, includeFolders: false },
  groupOrder: [
    ...Object.keys(DOCUMENTS),
    REFERENCE,
    'Classes',
    'Functions',
    'Variables',
    'Interfaces',
    'Type Aliases',
    '*',
  ],
  markdownItLoader: colourIndented,
  favicon: join(root, 'scripts/docs/icon.svg'),
  sort: ['kind', 'instance-first', 'alphabetical-ignoring-documents'],
  sortEntryPoints: false,
  highlightLanguages: ['sh', 'bash', 'javascript', 'typescript', 'json', 'python', 'dockerfile', 'yaml', 'ini'],
  ignoredHighlightLanguages: ['text', 'cjs', 'mjs'],
  customCss: join(root, 'scripts/docs/style.css'),
  validation: {
    notExported: true,
    invalidLink: true,
    invalidPath: true,
    rewrittenLink: true,
    notDocumented: true,
    unusedMergeModuleWith: true,
  },
  treatWarningsAsErrors: true,
  logLevel: 'Warn',
  pretty: false,
})

// A module is called what one imports. What begins with underscores is the package's own; what Node calls for util.inspect and
// for promises, and brands of types, nobody calls.
const PLUMBING = /^(__.*|\[(custom|species|\w+Brand)\])$/
app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
  for (const module of project.getReflectionsByKind(ReflectionKind.Module))
    Object.assign(module, {
      name: module.name === 'lib' ? 'multiproc' : 'multiproc/cluster',
      comment: new Comment([], [new CommentTag('@group', [{ kind: 'text', text: REFERENCE }])]),
    })
  for (const reflection of Object.values(project.reflections))
    if (PLUMBING.test(reflection.name) && !reflection.kindOf(ReflectionKind.TypeLiteral | ReflectionKind.SomeSignature))
      project.removeReflection(reflection)
  // A context has each class and function of the package.
  for (const member of project.getChildByName('multiproc.Context')?.children ?? [])
    if (!member.hasComment()) member.comment = new Comment([{ kind: 'text', text: `As the package's ${member.name}.` }])
  // A document is called what its heading says.
  for (const [i, document] of project.documents.entries()) {
    const heading = /^\s*# (.+)\n/.exec(document.content[0]?.text ?? '')
    if (heading === null) throw new Error(`${placed[i]}.md does not begin with its heading`)
    document.name = heading[1].replaceAll('`', '')
    const [group] = Object.entries(DOCUMENTS).find(([, names]) => names.includes(placed[i]))
    document.frontmatter.group = group
  }
})

// Who comes for the first time finds the list of guides open.
const OPEN = "localStorage.getItem('tsd-accordion-Guides') ?? localStorage.setItem('tsd-accordion-Guides', 'true')"
app.renderer.hooks.on('head.begin', () => JSX.createElement(JSX.Raw, { html: `<script>${OPEN}</script>` }))

const project = await app.convert()
if (project !== undefined) {
  app.validate(project)
  if (!app.logger.hasErrors()) await app.generateOutputs(project)
}
if (project === undefined || app.logger.hasErrors() || app.logger.hasWarnings()) process.exit(1)
