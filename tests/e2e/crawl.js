// Every link of the web UI, as one user: crawl.js URL [USER PASSWORD]. Follows what pages link to, one page of each kind (E2E_OF_A_KIND); of
// the DAGs in E2E_DAGS (space separated) one of each kind for each of them, beginning at E2E_FROM (paths);
// one JSON line a page: {path, from, troubles}. A trouble is a console error, an exception, a failed request, or an answer of 400 and above; for
// somebody who is logged in 403 is none: the UI asks for some things before it knows whether they may be seen.
const path = require('path');
const MODULES = process.env.E2E_MODULES || path.join(__dirname, '../../.cache/e2e/node_modules');
const PATIENCE = Number(process.env.E2E_PATIENCE || 120) * 1000;
const MISSING = /\/static\/wasm\/sqlparser_rs_wasm\.js$/;      // as journeys.js
// a task that asks nobody: its page of required actions asks for a question all the same, and Airflow answers 404, too
const NO_QUESTION = /\/hitlDetails\/tries\/\d+$/;
const SIDE_BY_SIDE = Number(process.env.E2E_PAGES || 4), OF_A_KIND = Number(process.env.E2E_OF_A_KIND || 1);
const QUIET = 300, LOUD = 3000;                                // ms without a request: the page has what it asked for; some ask for ever
const NAMES = /^(dags|runs|tasks|group|mapped|assets|plugin|versions|external_url|dag_runs)$/;
// what is no page of the UI: documents, downloads, and the way out
const ELSEWHERE = /^\/(docs|redoc|openapi|auth|api|execution|metrics|updraft)(\/|$|\.)|logout/;

const OWN = new Set((process.env.E2E_DAGS || '').split(' '));   // DAGs whose pages are kinds of their own
// "/dags/x/runs/y" -> "/dags/*/runs/*": pages that differ in names alone are one kind
const kind = address => {
  const parts = address.split('?')[0].replace(/\/$/, '').split('/');
  return parts.map((p, i) => (i && NAMES.test(parts[i - 1]) && p && !OWN.has(p) ? '*' : p)).join('/');
};

async function main() {
  const [base, user, password] = process.argv.slice(2);
  const { chromium } = require(path.join(MODULES, 'playwright-core'));
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'] });
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  if (user) {
    const answer = await fetch(base + '/auth/token', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ username: user, password }) });
    await context.addCookies([{ name: '_token', value: (await answer.json()).access_token, url: base }]);
  }
  const first = ['/', ...(process.env.E2E_FROM || '').split(' ').filter(Boolean)];
  const queue = first.map(path => ({ path, from: '' })), known = new Set(first), kinds = {};
  let busy = 0;

  async function look({ path: address, from }) {
    const page = await context.newPage(), troubles = [];
    let open = 0, last = Date.now();
    const moved = n => { open += n; last = Date.now(); };
    page.on('request', () => moved(1));
    page.on('requestfinished', () => moved(-1));
    page.on('console', m => { if (m.type() === 'error' && !MISSING.test(m.location().url) && !NO_QUESTION.test(m.location().url) && !(user && /403/.test(m.text()))) troubles.push('console: ' + m.text().slice(0, 300)); });
    page.on('pageerror', e => troubles.push('exception: ' + e.message.slice(0, 300)));
    page.on('response', r => { if (r.status() >= 400 && !MISSING.test(r.url()) && !(r.status() === 404 && NO_QUESTION.test(r.url())) && !(user && r.status() === 403)) troubles.push(`${r.status()} ${r.request().method()} ${r.url()}`); });
    page.on('requestfailed', r => { moved(-1); if (!/ERR_ABORTED/.test(r.failure().errorText)) troubles.push(`${r.failure().errorText} ${r.url()}`); });
    let links = [];
    try {
      await page.goto(base + address, { waitUntil: 'load', timeout: PATIENCE });
      await page.locator('#root a[href]').first().waitFor({ timeout: PATIENCE });
      const began = Date.now();
      while ((open > 0 || Date.now() - last < QUIET) && Date.now() - began < LOUD) await page.waitForTimeout(50);
      links = await page.$$eval('a[href]', all => all.map(a => a.href));
      if (/404|Page Not Found/.test(await page.title())) troubles.push('the page says that it is none');
    } catch (e) {
      troubles.push(String(e.message).slice(0, 300));
    }
    await page.close();
    console.log(JSON.stringify({ path: address, from, troubles }));
    for (const link of links) {
      const u = new URL(link), next = u.pathname + u.search;
      if (u.origin !== new URL(base).origin || known.has(next) || ELSEWHERE.test(u.pathname)) continue;
      known.add(next);
      const k = kind(next);
      if ((kinds[k] = (kinds[k] || 0) + 1) <= OF_A_KIND) queue.push({ path: next, from: address });
    }
  }

  const worker = async () => {
    while (queue.length || busy) {
      const one = queue.shift();
      if (!one) { await new Promise(r => setTimeout(r, 50)); continue; }
      busy++;
      await look(one);
      busy--;
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
  await browser.close();
}
main().catch(e => { console.error(e); process.exit(1); });
