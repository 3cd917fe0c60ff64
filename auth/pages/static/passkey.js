// Asks the browser for a passkey (WebAuthn) where a page offers it. Everything else on these pages works without it.
(() => {
  'use strict';

  const toBytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
  const toText = (buffer) =>
    btoa(Array.from(new Uint8Array(buffer), (b) => String.fromCharCode(b)).join(''))
      .replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

  // The words for people come from the page, in its language.
  class Told extends Error {}

  async function post(url, body, part) {
    let answer;
    try {
      answer = await fetch(url, {
        method: 'POST', credentials: 'same-origin', redirect: 'error', cache: 'no-store',
        headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
        body: JSON.stringify(body),
      });
    } catch {
      throw new Told(part.dataset.unreachable);
    }
    const data = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Told(data.message || part.dataset.failed);
    return data;
  }

  // ask has the browser make a passkey, or use one, as the server's options say.
  async function ask({ publicKey }) {
    publicKey.challenge = toBytes(publicKey.challenge);
    for (const list of [publicKey.allowCredentials, publicKey.excludeCredentials]) {
      for (const credential of list || []) credential.id = toBytes(credential.id);
    }
    let made;
    if (publicKey.user) {
      publicKey.user.id = toBytes(publicKey.user.id);
      made = await navigator.credentials.create({ publicKey });
    } else {
      made = await navigator.credentials.get({ publicKey });
    }
    const response = { clientDataJSON: toText(made.response.clientDataJSON) };
    for (const name of ['attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
      if (made.response[name]) response[name] = toText(made.response[name]);
    }
    if (made.response.getTransports) response.transports = made.response.getTransports();
    return {
      id: made.id, rawId: toText(made.rawId), type: made.type, response,
      authenticatorAttachment: made.authenticatorAttachment || undefined,
      clientExtensionResults: {},
    };
  }

  // showCodes puts new recovery codes on the page, the only time that they are there.
  function showCodes(codes, location) {
    const section = document.getElementById('recovery');
    for (const code of codes) {
      const item = document.createElement('li');
      item.appendChild(document.createElement('code')).textContent = code;
      section.querySelector('ul').append(item);
    }
    section.querySelector('a').href = location;
    document.getElementById('content').hidden = true;
    section.hidden = false;
    section.querySelector('h1').focus();
  }

  async function run(part) {
    const sent = { account: part.dataset.account === 'true' };
    for (const field of document.querySelectorAll('input[data-send]')) {
      sent[field.name] = field.type === 'checkbox' ? field.checked : field.value;
    }
    const question = await post(part.dataset.begin, sent, part);
    if (question.location) return void window.location.assign(question.location);
    const response = await ask(question.options);
    const end = await post(part.dataset.finish, { ...sent, ceremony: question.ceremony, response }, part);
    if (end.recovery) return showCodes(end.recovery, end.location);
    window.location.assign(end.location);
  }

  for (const part of document.querySelectorAll('.passkey')) {
    const alert = part.querySelector('[role=alert]');
    const button = part.querySelector('button');
    const tell = (words) => { alert.textContent = words; alert.hidden = !words; };
    button.hidden = false;
    if (!window.PublicKeyCredential) {
      button.disabled = true;
      tell(part.dataset.unsupported);
      continue;
    }
    button.addEventListener('click', async () => {
      tell('');
      button.disabled = true;
      try {
        await run(part);
      } catch (problem) {
        tell(problem instanceof Told ? problem.message : part.dataset.failed);
      } finally {
        button.disabled = false;
      }
    });
  }
})();
