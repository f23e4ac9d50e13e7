// Journeys over Airflow's own web UI, served by us: journeys.js URL SHOTS [NAME ...], or --list.
// One JSON line a journey: {name, ok, error, ms}. A journey fails on what it does not find, on any answer of 400 and above, any
// failed request, any console error and any exception of the page.
const fs = require('fs'), path = require('path');
const MODULES = process.env.E2E_MODULES || path.join(__dirname, '../../.cache/e2e/node_modules');
const PATIENCE = Number(process.env.E2E_PATIENCE || 120) * 1000;
// the package names this file and does not have it; Airflow answers the same
const MISSING = /\/static\/wasm\/sqlparser_rs_wasm\.js$/;

const VIEW = { viewport: { width: 1400, height: 900 } };
const SIDE_BY_SIDE = Number(process.env.E2E_PAGES || 4);
const PICTURES = !process.env.E2E_FAILED_SHOTS; // else of failed journeys only
const RUN = '/dags/ui_day/runs/e2e_1';
const J = {};
const seen = (page, text) => page.getByText(text).first().waitFor({ timeout: PATIENCE });
// a page by its address, and texts that only its data brings
const visit = (address, ...texts) => async (page, base) => {
  await page.goto(base + address, { waitUntil: 'load', timeout: PATIENCE });
  for (const t of texts) await seen(page, t);
};

J['home'] = visit('/', 'Welcome', 'Active Dags', 'MetaDatabase', 'Pool Slots');
J['dag list'] = visit('/dags', 'ui_day', 'ui_slow');
J['dag list filtered by name'] = async (page, base) => {
  await visit('/dags?name_pattern=ui_con', 'ui_consumer')(page, base);
  if (await page.getByText('ui_slow').count()) throw new Error('the filter shows ui_slow');
};
J['dag list filtered by state'] = async (page, base) => {
  await visit('/dags?last_dag_run_state=failed', 'ui_fails')(page, base);
  if (await page.getByText('ui_consumer').count()) throw new Error('the filter shows ui_consumer');
};
J['unpause'] = async (page, base) => {
  await visit('/dags/ui_paused', 'Active Runs', 'Last 24 Hours', 'only')(page, base);
  const answer = page.waitForResponse(r => r.request().method() === 'PATCH' && r.url().includes('/api/v2/dags/ui_paused'), { timeout: PATIENCE });
  await page.locator('label:has(input[type=checkbox])').first().click();
  const confirm = page.getByRole('button', { name: /confirm/i });
  if (await confirm.count()) await confirm.first().click();
  if ((await (await answer).json()).is_paused) throw new Error('still paused');
};
J['trigger with parameters'] = async (page, base) => {
  await visit('/dags/ui_day', 'extract')(page, base);
  await page.getByRole('button', { name: 'Trigger' }).first().click();
  const field = page.locator('[name="element_greeting"]');
  await field.waitFor({ timeout: PATIENCE });
  await field.fill('bonjour');
  await field.blur();
  const answer = page.waitForResponse(r => r.request().method() === 'POST' && r.url().endsWith('/dagRuns'), { timeout: PATIENCE });
  await page.getByRole('dialog').getByRole('button', { name: /Trigger/ }).last().click();
  const run = await (await answer).json();
  if (run.conf.greeting !== 'bonjour') throw new Error('conf is ' + JSON.stringify(run.conf));
};
J['grid'] = async (page, base) => {
  await visit('/dags/ui_day', 'extract', 'count', 'load')(page, base);
  await page.locator('[id*="e2e_1"], a[href*="e2e_1"]').first().waitFor({ timeout: PATIENCE });
};
const panel = (page, word) => page.locator(`button[title*="${word}" i], button[aria-label*="${word}" i]`).first().click();
J['graph'] = async (page, base) => {
  await visit(RUN, 'extract')(page, base);
  await panel(page, 'graph');
  for (const id of ['extract', 'count', 'load']) await page.locator(`.react-flow__node[data-id="${id}"]`).first().waitFor({ timeout: PATIENCE });
};
J['gantt'] = async (page, base) => {
  await visit(RUN, 'extract')(page, base);
  const answer = page.waitForResponse(r => r.url().includes('/ui/gantt/ui_day/'), { timeout: PATIENCE });
  await panel(page, 'gantt');
  if (!(await (await answer).json()).task_instances.length) throw new Error('no tries');
};
J['dag runs'] = visit('/dags/ui_day/runs', 'e2e_1');
J['dag tasks'] = visit('/dags/ui_day/tasks', 'extract');
J['calendar'] = visit('/dags/ui_daily/calendar', 'Total Runs', 'Planned');
J['dag backfills'] = visit('/dags/ui_daily/backfills', 'Backfills');
J['dag audit log'] = visit('/dags/ui_day/events', 'trigger_dag_run');
J['dag code'] = visit('/dags/ui_day/code', 'What the pages are shown with');
J['dag details'] = visit('/dags/ui_day/details', 'A day of sales');
J['run'] = visit(RUN, 'extract');
J['run details'] = visit(RUN + '/details', 'e2e_1');
J['run code'] = visit(RUN + '/code', 'What the pages are shown with');
J['run asset events'] = visit(RUN + '/asset_events', 'Asset Events');
J['task logs'] = visit(RUN + '/tasks/extract', 'Returned value was');
J['task logs grow while it runs'] = async (page, base) => {
  // the list shows only the lines in view, so growth is looked for in what the page asks by itself, again and again
  const size = async () => (await (await page.waitForResponse(r => r.url().includes('/logs/') && r.ok(), { timeout: PATIENCE })).body()).length;
  const first = size();
  await visit('/dags/ui_slow/runs/e2e_1/tasks/talks', /live line \d+/)(page, base);
  const began = await first;
  while (await size() <= began) await seen(page, /live line \d+/);
};
J['mapped task'] = visit(RUN + '/tasks/count/mapped', 'Success');
J['one of the mapped'] = visit(RUN + '/tasks/count/mapped/1', 'count');
J['rendered templates'] = visit(RUN + '/tasks/load.rows/rendered_templates', 'echo loaded hello');
J['why and usage, our own page'] = async (page, base) => {
  await visit(RUN + '/tasks/load.rows/plugin/updraft-task', 'Why and usage')(page, base);
  await page.frameLocator('iframe').getByText('peak memory').waitFor({ timeout: PATIENCE });
};
J['why and usage of a waiting task'] = async (page, base) => {
  await visit('/dags/ui_slow/runs/e2e_1/tasks/waits', 'Why and usage')(page, base);
  await page.getByRole('link', { name: 'Why and usage' }).click();
  await page.frameLocator('iframe').getByText(/talks/).first().waitFor();
};
J['clear a task instance'] = async (page, base) => {
  await visit('/dags/ui_clears/runs/e2e_1/tasks/only', 'Success')(page, base);
  await page.locator('button[aria-label*="clear" i]').first().click();
  const dialog = page.getByRole('dialog'), answer = page.waitForResponse(r => r.url().endsWith('/clearTaskInstances') &&
    r.request().postDataJSON().dry_run === false);
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  const cleared = (await (await answer).json()).task_instances.map(t => t.task_id);
  if (cleared.join() !== 'only') throw new Error('cleared ' + cleared);
  // the page asks by itself; with a second try it offers both
  await seen(page, 'Task Tries');
};
J['a backfill made'] = async (page, base) => {
  await visit('/dags/ui_daily', 'only')(page, base);
  await page.getByRole('button', { name: 'Trigger' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('Backfill', { exact: true }).click();
  const day = page.getByPlaceholder('YYYY/MM/DD');
  for (const [at, date] of ['2026/01/05', '2026/01/06'].entries()) {
    await page.getByTestId('datetime-input').nth(at).click();
    await day.fill(date);
    await dialog.getByText('Date Range').click();
    await day.waitFor({ state: 'detached' });
  }
  await seen(page, '2 runs will be triggered.');
  const answer = page.waitForResponse(r => r.request().method() === 'POST' && r.url().endsWith('/api/v2/backfills'));
  await dialog.getByRole('button', { name: 'Run Backfill' }).click();
  const made = await (await answer).json();
  if (made.dag_id !== 'ui_daily' || !made.from_date.startsWith('2026-01-05')) throw new Error(JSON.stringify(made));
  await page.goto(base + '/dags/ui_daily/runs?run_type=backfill');
  for (const day of ['backfill__2026-01-05', 'backfill__2026-01-06']) await seen(page, day);
};
J['status, our own page'] = async (page, base) => {
  await visit('/plugin/updraft-status')(page, base);
  await page.frameLocator('iframe').getByText('SchedulerJob').waitFor({ timeout: PATIENCE });
};
J['task xcom'] = visit(RUN + '/tasks/extract/xcom', 'return_value');
J['task details'] = visit(RUN + '/tasks/extract/details', 'default_pool');
J['task audit log'] = visit(RUN + '/tasks/extract/events', 'Event');
J['task of all runs'] = visit('/dags/ui_day/tasks/extract', 'extract');
J['task group'] = visit(RUN + '/tasks/group/load', 'load');
J['all runs'] = visit('/dag_runs', 'e2e_1');
J['all task instances'] = visit('/task_instances', 'extract');
J['assets'] = visit('/assets', 'ui_sales');
J['asset'] = async (page, base) => {
  await visit('/assets', 'ui_sales')(page, base);
  await page.getByText('ui_sales').first().click();
  for (const id of ['dag:ui_day', 'dag:ui_consumer']) await page.locator(`.react-flow__node[data-id="${id}"]`).first().waitFor({ timeout: PATIENCE });
};
J['xcoms'] = visit('/xcoms', 'return_value');
J['a variable made'] = async (page, base) => {
  await visit('/variables', 'Add Variable')(page, base);
  await page.getByRole('button', { name: 'Add Variable' }).click();
  await page.locator('[name=key]').fill('e2e_key');
  await page.locator('[name=value]').fill('e2e_value');
  await page.getByRole('button', { name: 'Save' }).click();
  await seen(page, 'e2e_value');
};
J['a connection made'] = async (page, base) => {
  await visit('/connections', 'Add Connection')(page, base);
  await page.getByRole('button', { name: 'Add Connection' }).click();
  await page.locator('[name=connection_id]').fill('e2e_conn');
  await page.getByRole('combobox').last().click();
  await page.getByRole('option', { name: 'File (path)' }).click();
  await page.getByRole('button', { name: 'Save' }).click();
  await seen(page, 'e2e_conn');
};
J['a connection tested'] = async (page, base) => {
  await visit('/connections', 'Add Connection')(page, base);
  // with a port: the page sends 0 for none, which is another place than the stored one, and refused, in Airflow, too
  const made = await page.request.post(base + '/api/v2/connections', { data: { connection_id: 'e2e_tested', conn_type: 'fs', port: 1 } });
  if (made.status() !== 201) throw new Error(await made.text());
  await visit('/connections?connection_id_pattern=e2e_tested', 'e2e_tested')(page, base);
  const answer = page.waitForResponse(r => r.url().includes('/connections/test'), { timeout: PATIENCE });
  await page.getByRole('row', { name: /e2e_tested/ }).getByRole('button', { name: /Test Connection/i }).click();
  // the hook's own words: it was made without a path
  const said = await (await answer).text();
  if (JSON.parse(said).message !== 'File Path is undefined.') throw new Error('the hook says ' + said);
};
J['pools'] = visit('/pools', 'default_pool');
J['providers'] = visit('/providers', 'apache-airflow-providers-standard');
J['plugins'] = visit('/plugins', 'Plugins');
J['config'] = visit('/configs', 'dags_folder');
J['audit log'] = visit('/events', 'trigger_dag_run');
J['required actions'] = visit('/required_actions', 'May the sales be published?');
J['jobs'] = visit('/jobs', 'SchedulerJob');
J['deadlines'] = visit('/deadlines', 'Deadlines');
// below here, and graph and gantt: a context of its own each, for what is kept in it (a session, a language, a theme, the panel)
const shared = new Set(Object.keys(J).filter(n => !['graph', 'gantt'].includes(n)));
J['log in and out'] = async page => {
  const base = process.env.E2E_LOGIN;
  await page.goto(base + '/dags', { waitUntil: 'load' });
  await page.locator('[name=username]').fill('olga');
  await page.locator('[name=password]').fill('wrong');
  await page.getByRole('button', { name: 'Log in' }).click();
  await seen(page, 'That name and password do not belong together.');
  await page.locator('[name=username]').fill('olga');
  await page.locator('[name=password]').fill('secret');
  await page.getByRole('button', { name: 'Log in' }).click();
  await seen(page, 'ui_day');
  if (new URL(page.url()).pathname !== '/dags') throw new Error('after the login: ' + page.url());
  await page.getByRole('button', { name: 'User', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Logout' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Confirm' }).click();
  await page.locator('[name=password]').waitFor();
  if ((await page.request.get(base + '/api/v2/dags')).status() !== 401) throw new Error('still logged in');
};
J['a path in base_url'] = async page => {
  const base = process.env.E2E_SUB;
  page.on('request', r => { if (!r.url().startsWith(base) && r.url().startsWith('http')) page.strays.push(r.url()); });
  page.strays = [];
  await visit('/', 'Welcome', 'MetaDatabase')(page, base);
  await page.getByRole('link', { name: 'Dags', exact: true }).first().click();
  await page.getByRole('link', { name: 'ui_day', exact: true }).first().click();
  await seen(page, 'extract');
  if (!page.url().startsWith(base + '/dags/ui_day')) throw new Error('arrived at ' + page.url());
  await visit(RUN + '/tasks/extract', 'Returned value was')(page, base);
  await visit(RUN + '/tasks/load.rows/plugin/updraft-task', 'Why and usage')(page, base);
  await page.frameLocator('iframe').getByText('peak memory').waitFor();
  if (page.strays.length) throw new Error('outside of the path: ' + page.strays);
};
// what a wrong password is answered with is part of its journey
J['users and roles, our own page'] = async page => {
  const base = process.env.E2E_LOGIN, json = { 'Content-Type': 'application/json' };
  await page.goto(base + '/plugin/updraft-people', { waitUntil: 'load' });
  await page.locator('[name=username]').fill('olga');
  await page.locator('[name=password]').fill('secret');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('button', { name: 'Admin', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Users and roles' }).click();
  const frame = page.frameLocator('iframe'), dialog = frame.getByRole('dialog'), said = text => frame.getByRole('status').getByText(text).waitFor({ timeout: PATIENCE });
  const row = name => frame.getByRole('row').filter({ has: frame.getByRole('cell', { name, exact: true }) });
  const token = async password => (await page.request.post(base + '/auth/token', { headers: json, data: { username: 'pat<b>', password } }));
  const may = async t => (await page.request.get(base + '/api/v2/variables', { headers: { Authorization: 'Bearer ' + t } })).status();

  await frame.getByRole('button', { name: 'Add a role' }).click();
  await dialog.getByLabel('Name').fill('Watchers');
  await dialog.getByLabel(/^Permissions/).fill('can_read Variables\nno_such_thing DAGs');
  await dialog.getByRole('button', { name: 'Add' }).click();
  await dialog.getByRole('alert').filter({ hasText: 'no_such_thing' }).waitFor({ timeout: PATIENCE });
  await dialog.getByLabel(/^Permissions/).fill('can_read Variables');
  await dialog.getByRole('button', { name: 'Add' }).click();
  await said('The role Watchers was added.');

  await frame.getByRole('button', { name: 'Add a user' }).click();
  for (const [label, value] of [['Username', 'pat<b>'], ['First name', 'Pat'], ['Last name', 'Doe'], ['Email', 'pat@example.com'], ['Password', 'first-word']])
    await dialog.getByLabel(label).fill(value);
  await dialog.getByRole('button', { name: 'Add' }).click();
  await said('pat<b> was added.');
  await row('pat<b>').getByRole('cell', { name: 'Viewer' }).waitFor();
  const first = (await (await token('first-word')).json()).access_token;
  if (await may(first) !== 403) throw new Error('a Viewer reads variables');

  await row('pat<b>').getByRole('button', { name: 'Roles' }).click();
  await dialog.getByLabel('Watchers').check();
  await dialog.getByRole('button', { name: 'Change' }).click();
  await said('The roles of pat<b> were changed.');
  const second = (await (await token('first-word')).json()).access_token;
  if (await may(second) !== 200) throw new Error('a Watcher does not read variables');

  await row('pat<b>').getByRole('button', { name: 'End sessions' }).click();
  await dialog.getByRole('button', { name: 'End them' }).click();
  await said('The sessions and tokens of pat<b> have ended.');
  if (await may(second) !== 403) throw new Error('an ended token is good');

  await row('pat<b>').getByRole('button', { name: 'New password' }).click();
  await dialog.getByLabel('Password').fill('second-word');
  await dialog.getByRole('button', { name: 'Change' }).click();
  await said('pat<b> has a new password');
  if ((await token('first-word')).status() !== 401 || (await token('second-word')).status() !== 201) throw new Error('the password is not the new one');

  await row('pat<b>').getByRole('button', { name: 'Delete' }).click();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await said('pat<b> was deleted.');
  await row('Watchers').getByRole('button', { name: 'Delete' }).click();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await said('The role Watchers was deleted.');
  if ((await token('second-word')).status() !== 401) throw new Error('a deleted user logs in');
};
const ALLOWED = { 'users and roles, our own page': /^(4\d\d (GET|POST) |console: .*40[0-9])/,
  'log in and out': /^(401 (GET|POST) |console: .*401)/ };

J['a second language'] = async (page, base) => {
  await page.addInitScript(() => localStorage.setItem('i18nextLng', 'de'));
  await visit('/', 'Willkommen')(page, base);
};
J['dark mode'] = async (page, base) => {
  await page.addInitScript(() => localStorage.setItem('theme', 'dark'));
  await visit('/dags', 'ui_day')(page, base);
  await page.locator('html.dark').waitFor({ timeout: PATIENCE });
};


// shared pages are of one context, so that the browser's cache serves all
async function journey(browser, common, base, shots, name) {
  const context = shared.has(name) ? common : await browser.newContext(VIEW);
  const page = await context.newPage(), troubles = [], began = Date.now();
  const trouble = text => { if (!(ALLOWED[name] && ALLOWED[name].test(text))) troubles.push(text); };
  page.setDefaultTimeout(PATIENCE);
  page.setDefaultNavigationTimeout(PATIENCE);
  page.on('console', m => { if (m.type() === 'error' && !MISSING.test(m.location().url)) trouble('console: ' + m.text().slice(0, 300)); });
  page.on('pageerror', e => trouble('exception: ' + e.message.slice(0, 300)));
  page.on('response', r => { if (r.status() >= 400 && !MISSING.test(r.url())) trouble(`${r.status()} ${r.request().method()} ${r.url()}`); });
  page.on('requestfailed', r => { if (!/ERR_ABORTED/.test(r.failure().errorText)) trouble(`${r.failure().errorText} ${r.url()}`); });
  let error = null;
  try {
    await J[name](page, base);
    await page.waitForLoadState('load');
  } catch (e) {
    error = String(e.message).slice(0, 500);
  }
  if (shots && (PICTURES || error)) await page.screenshot({ path: path.join(shots, name.replace(/\W+/g, '_') + '.png') }).catch(() => {});
  await (context === common ? page : context).close();
  error = error || troubles.join('; ') || null;
  console.log(JSON.stringify({ name, ok: !error, error, ms: Date.now() - began }));
}

async function main() {
  const [base, shots, ...names] = process.argv.slice(2);
  if (base === '--list') return console.log(JSON.stringify(Object.keys(J)));
  const { chromium } = require(path.join(MODULES, 'playwright-core'));
  fs.mkdirSync(shots, { recursive: true });
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'] });
  const common = await browser.newContext(VIEW), queue = names.length ? names : Object.keys(J);
  const worker = async () => { for (let name; (name = queue.shift());) await journey(browser, common, base, shots, name); };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
  await browser.close();
}
main().catch(e => { console.error(e); process.exit(1); });
