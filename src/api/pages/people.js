// Users and roles, over /auth/fab/v1. Everything that comes from the server is put in as text, never as markup.
'use strict';
const BASE = new URL('../auth/fab/v1', location.href).pathname;
const BUILT_IN = ['Admin', 'Op', 'User', 'Viewer', 'Public'];
const $ = id => document.getElementById(id);
let roles = [];

async function api(method, path, body) {
  const r = await fetch(BASE + path, {
    method, credentials: 'same-origin', headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await r.text(), answer = text ? JSON.parse(text) : null;
  if (r.ok) return answer;
  const why = answer && answer.detail;
  throw new Error(Array.isArray(why) ? why.map(p => `${p.loc.slice(1).join('.')}: ${p.msg}`).join('; ') : why || `${r.status} ${r.statusText}`);
}

// every one of a list that comes in pages
async function all(path, key) {
  const found = [];
  for (;;) {
    const page = await api('GET', `${path}?limit=100&offset=${found.length}`);
    found.push(...page[key]);
    if (!page[key].length || found.length >= page.total_entries) return found;
  }
}

function el(name, props = {}, ...children) {
  const e = Object.assign(document.createElement(name), props);
  e.append(...children);
  return e;
}
const button = (text, act, kind = '') => el('button', { type: 'button', textContent: text, className: kind, onclick: act });
const say = text => { $('said').textContent = text; };

// a dialog of fields; `act` is called with them, and what it throws is shown there
function ask(title, fields, word, act) {
  const d = $('ask'), [place] = d.getElementsByTagName('div'), [bad] = d.getElementsByClassName('bad'), [yes] = d.getElementsByClassName('main');
  d.getElementsByTagName('h2')[0].textContent = title;
  place.replaceChildren(...fields);
  bad.textContent = '';
  yes.textContent = word;
  d.getElementsByTagName('button')[0].onclick = () => d.close();
  d.getElementsByTagName('form')[0].onsubmit = async event => {
    event.preventDefault();
    yes.disabled = true;
    try {
      const said = await act(new FormData(event.target));
      d.close();
      await show();
      say(said);
    } catch (e) {
      bad.textContent = e.message;
    } finally {
      yes.disabled = false;
    }
  };
  d.showModal();
}
const field = (label, name, props = {}) => el('label', {}, label, el('input', { name, required: true, ...props }));
const words = text => el('p', { textContent: text });
const ticks = chosen => roles.map(r => el('label', { className: 'tick' }, el('input', { type: 'checkbox', name: 'roles', value: r.name, checked: chosen.includes(r.name) }), r.name));
const ticked = form => form.getAll('roles').map(name => ({ name }));
const password = () => field('Password', 'password', { type: 'password', autocomplete: 'new-password' });

function addUser() {
  ask('Add a user', [field('Username', 'username'), field('First name', 'first_name'), field('Last name', 'last_name'), field('Email', 'email', { type: 'email' }), password(),
    ...ticks(['Viewer'])], 'Add', async form => {
    const body = Object.fromEntries(['username', 'first_name', 'last_name', 'email', 'password'].map(k => [k, form.get(k)]));
    await api('POST', '/users', { ...body, roles: ticked(form) });
    return `${body.username} was added.`;
  });
}

function userActions(u) {
  const path = '/users/' + encodeURIComponent(u.username), name = u.username;
  return [
    button('Roles', () => ask(`Roles of ${name}`, ticks(u.roles.map(r => r.name)), 'Change', async form => {
      await api('PATCH', path + '?update_mask=roles', { roles: ticked(form) });
      return `The roles of ${name} were changed.`;
    })),
    button('New password', () => ask(`A new password for ${name}`, [password()], 'Change', async form => {
      await api('PATCH', path + '?update_mask=password', { password: form.get('password') });
      return `${name} has a new password; sessions and tokens of the old one have ended.`;
    })),
    button('End sessions', () => ask(`End the sessions of ${name}?`, [words('Every session and token of this user ends. The password stays.')], 'End them', async () => {
      await api('DELETE', path + '/tokens');
      return `The sessions and tokens of ${name} have ended.`;
    })),
    button('Delete', () => ask(`Delete ${name}?`, [words('The user is gone at once, with all sessions and tokens.')], 'Delete', async () => {
      await api('DELETE', path);
      return `${name} was deleted.`;
    }), 'danger'),
  ];
}

function userRow(u) {
  const when = u.last_login ? new Date(u.last_login).toLocaleString() : 'never';
  return el('tr', {}, ...[u.username + (u.active ? '' : ' (inactive)'), `${u.first_name} ${u.last_name}`, u.email, u.roles.map(r => r.name).join(', '), when,
    String(u.fail_login_count ?? 0)].map(text => el('td', { textContent: text })), el('td', {}, ...userActions(u)));
}

// "can_read DAG Runs" a line
const asText = r => r.actions.map(a => `${a.action.name} ${a.resource.name}`).join('\n');
const asActions = text => text.split('\n').map(line => line.trim()).filter(Boolean).map(line => {
  const at = line.indexOf(' ');
  return { action: { name: at < 0 ? line : line.slice(0, at) }, resource: { name: at < 0 ? '' : line.slice(at + 1).trim() } };
});
const permissions = text => el('label', {}, 'Permissions, one a line, such as: can_read DAG Runs, or can_edit DAG:my_dag', el('textarea', { name: 'actions', value: text }));

function addRole() {
  ask('Add a role', [field('Name', 'name'), permissions('')], 'Add', async form => {
    await api('POST', '/roles', { name: form.get('name'), actions: asActions(form.get('actions')) });
    return `The role ${form.get('name')} was added.`;
  });
}

function roleActions(r) {
  const path = '/roles/' + encodeURIComponent(r.name);
  if (BUILT_IN.includes(r.name)) return [el('small', { textContent: 'built in' })];
  return [
    button('Permissions', () => ask(`What ${r.name} may`, [permissions(asText(r))], 'Change', async form => {
      await api('PATCH', path, { name: r.name, actions: asActions(form.get('actions')) });
      return `The role ${r.name} was changed.`;
    })),
    button('Delete', () => ask(`Delete the role ${r.name}?`, [words('Users who have it keep their other roles.')], 'Delete', async () => {
      await api('DELETE', path);
      return `The role ${r.name} was deleted.`;
    }), 'danger'),
  ];
}

function roleRow(r) {
  const list = el('details', {}, el('summary', { textContent: `${r.actions.length} permissions` }), el('small', { textContent: r.actions.map(a => `${a.action.name} ${a.resource.name}`).join(', ') }));
  return el('tr', {}, el('td', { textContent: r.name }), el('td', {}, list), el('td', {}, ...roleActions(r)));
}

async function show() {
  try {
    roles = await all('/roles', 'roles');
    const users = await all('/users', 'users');
    $('users').tBodies[0].replaceChildren(...users.map(userRow));
    $('roles').tBodies[0].replaceChildren(...roles.map(roleRow));
    if (!users.length) say('There is no user in the store yet. Those of [core] simple_auth_manager_users are in the configuration, not here.');
  } catch (e) {
    say(e.message);
  }
}

$('add-user').onclick = addUser;
$('add-role').onclick = addRole;
show();
