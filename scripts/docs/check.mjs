// Looks at the built site as its readers do: each link and anchor leads somewhere, and in headless Chromium no page logs an error,
// misses a file, is wider than a phone or has a diagram that is; the search finds exports and words of the guides.
//
//   node scripts/docs/check.mjs [--short] [--links] [--screenshots=folder]
//
// --short: all documents, but only each eighth page of the reference, in the browser.
// --links: without a browser. Where no Chromium is installed ($CHROMIUM, /usr/bin/chromium …) that part is left out, and said so.
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { serve, site } from './serve.mjs'

const PHONE = { width: 375, height: 800 }
const DESKTOP = { width: 1280, height: 900 }
const BROWSERS = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const FLAGS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
]
const TABS = 3
/** A machine may be busy: only what never comes is wrong. */
const PATIENCE_MS = 60_000
const SHORT_STEP = 8

const option = (name) => process.argv.find((arg) => arg.startsWith(`--${name}`))
const pages = readdirSync(site, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.html'))
const problems = []

function checkLinks() {
  const read = pages.map((page) => {
    const html = readFileSync(join(site, page), 'utf8')
    const all = (pattern) => [...html.matchAll(pattern)].map(([, value]) => value.replaceAll('&amp;', '&'))
    return { page, ids: new Set(all(/\sid="([^"]*)"/g)), links: all(/<[a-z]+\b[^>]*?\s(?:href|src)="([^"]*)"/g) }
  })
  const idsOf = new Map(read.map(({ page, ids }) => [page, ids]))
  let count = 0
  for (const { page, links } of read)
    for (const link of links) {
      if (/^[a-z]+:/i.test(link)) continue
      count++
      const [path, anchor] = link.split('#').map(decodeURIComponent)
      const target = path === '' ? page : relative(site, resolve(site, dirname(page), path))
      if (!existsSync(join(site, target))) problems.push(`${page}: ${link} leads nowhere`)
      else if (anchor && idsOf.has(target) && !idsOf.get(target).has(anchor))
        problems.push(`${page}: ${link} has no such anchor`)
    }
  console.log(`${pages.length} pages, ${count} links`)
}

/** What a page logs or misses is a problem. */
function listen(tab, name) {
  tab.on('console', (message) => message.type() === 'error' && problems.push(`${name()}: console: ${message.text()}`))
  tab.on('pageerror', (error) => problems.push(`${name()}: ${error.message}`))
  tab.on('response', (answer) => answer.ok() || problems.push(`${name()}: ${answer.url()}: ${answer.status()}`))
}

/** In the page: the first lines of diagrams of text that have to be scrolled. Code may be; a drawing says nothing then. */
function cutDiagrams() {
  const blocks = [...document.querySelectorAll('pre')]
  const cut = blocks.filter((pre) => /[│▼▶◀]/.test(pre.textContent) && pre.scrollWidth > pre.clientWidth)
  return cut.map((pre) => pre.textContent.trim().split('\n')[0])
}

async function checkWidths(browser, address) {
  const left = pages.filter((page, i) => !option('short') || page.startsWith('documents') || i % SHORT_STEP === 0)
  const one = async () => {
    const tab = await browser.newPage({ viewport: PHONE })
    let page
    listen(tab, () => page)
    while (left.length > 0) {
      page = left.pop()
      await tab.goto(`${address}/${page}`, { waitUntil: 'load', timeout: PATIENCE_MS })
      const wide = await tab.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
      if (wide > 0) problems.push(`${page}: ${wide} px wider than a phone`)
      for (const diagram of await tab.evaluate(cutDiagrams)) problems.push(`${page}: a phone cuts: ${diagram}`)
    }
    await tab.close()
  }
  const count = left.length
  await Promise.all(Array.from({ length: TABS }, one))
  console.log(`${count} pages seen at the width of a phone`)
}

async function checkSearch(browser, address) {
  const tab = await browser.newPage({ viewport: DESKTOP })
  listen(tab, () => 'search')
  await tab.goto(`${address}/index.html`)
  await tab.click('#tsd-search-trigger')
  for (const [text, found] of [
    ['SharedDict', 'SharedDict'],
    ['troubleshoot', 'Troubleshooting'],
    ['abandoned', 'Locks'],
  ]) {
    await tab.fill('#tsd-search-input', text)
    await tab
      .locator('#tsd-search-results a', { hasText: found })
      .first()
      .waitFor({ timeout: PATIENCE_MS })
      .catch(() => problems.push(`search: ${text} does not find ${found}`))
  }
  await tab.close()
}

/** The first page, a guide and the page of a class, at both widths, in light and dark: to be looked at. */
async function takeScreenshots(browser, address, folder) {
  mkdirSync(folder, { recursive: true })
  const shown = {
    first: 'index.html',
    guide: 'documents/Pools.html',
    inside: 'documents/How_it_works_inside.html',
    class: 'classes/multiproc.Pool.html',
  }
  for (const colorScheme of ['light', 'dark'])
    for (const [device, viewport] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
      const tab = await browser.newPage({ viewport, colorScheme })
      for (const [name, page] of Object.entries(shown)) {
        await tab.goto(`${address}/${page}`)
        await tab.screenshot({ path: join(folder, `${name}-${device}-${colorScheme}.png`) })
      }
      await tab.close()
    }
}

checkLinks()
const executablePath = BROWSERS.find((path) => path !== undefined && existsSync(path))
if (option('links')) console.log('not looked at in a browser: --links')
else if (executablePath === undefined) console.log('not looked at in a browser: no Chromium is installed here')
else {
  const { chromium } = await import('playwright-core')
  const { server, address } = await serve()
  const browser = await chromium.launch({ executablePath, args: FLAGS })
  try {
    await checkWidths(browser, address)
    await checkSearch(browser, address)
    const folder = option('screenshots')?.split('=')[1]
    if (folder !== undefined) await takeScreenshots(browser, address, folder)
  } finally {
    await browser.close()
    server.close()
  }
}
for (const problem of problems) console.error(problem)
console.log(problems.length === 0 ? 'nothing is wrong' : `${problems.length} problems`)
process.exit(problems.length === 0 ? 0 : 1)
