// Bandwidth's and Plivo's official Node SDKs against the emulator. Run by run.py.
//
// Nothing is changed in the SDKs. Bandwidth's ignores `basePath` for media (a table of servers wins), but its third
// constructor argument is an axios instance, and one with a base URL wins over that table. Its token URL is fixed,
// but `accessToken` may be a function of one's own. Plivo's client takes `url` among its options.

'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Configuration, MediaApi } = require('bandwidth-sdk');
const axios = require('axios');
const plivo = require('plivo');

const [baseUrl, password] = process.argv.slice(2);
const account = '9900000';
const authId = 'MAZTQ4NJRHOWY3ODK2MT';
const png = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.from([...Array(256).keys()])]);
let passed = 0;

function check(claim, ok, detail) {
  if (!ok) {
    console.error(`NOT SO: ${claim}`, detail ?? '');
    process.exit(1);
  }
  passed += 1;
  console.log(`ok: ${claim}`);
}

// Checks that a call fails in a way that `is` knows.
async function checkFails(claim, is, call) {
  let outcome;
  try {
    outcome = await call();
  } catch (error) {
    return check(claim, is(error), error);
  }
  return check(claim, false, outcome);
}

const hasStatus = (status) => (error) => error.response?.status === status;

async function control(part, body) {
  const response = await fetch(`${baseUrl}/_emulator/${part}`, { method: 'POST', body: JSON.stringify(body) });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

function bandwidthApi(credentials) {
  const local = axios.create({ baseURL: `${baseUrl}/api/v2`, proxy: false });
  return new MediaApi(new Configuration(credentials), undefined, local);
}

async function fetchToken() {
  const authorization = `Basic ${Buffer.from(`client:${password}`).toString('base64')}`;
  const response = await fetch(`${baseUrl}/api/v1/oauth2/token`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
    body: 'grant_type=client_credentials',
  });
  return (await response.json()).access_token;
}

async function checkBandwidth() {
  const api = bandwidthApi({ username: 'bwuser', password });
  for (const claim of ['uploads', 'uploads again under the same name']) {
    const reply = await api.uploadMedia(account, 'logo.png', png, 'image/png', 'no-cache');
    check(`bandwidth ${claim}`, reply.status === 204 && reply.data === '', reply.status);
  }
  const got = await api.getMedia(account, 'logo.png', { responseType: 'arraybuffer' });
  check('bandwidth downloads the same bytes', png.equals(Buffer.from(got.data)), got.data);
  check('bandwidth hands back type and cache control',
    got.headers['content-type'] === 'image/png' && got.headers['cache-control'] === 'no-cache', got.headers);

  const { data: [listed] } = await api.listMedia(account);
  check('bandwidth lists it', listed.mediaName === 'logo.png' && listed.contentLength === png.length, listed);
  check('bandwidth lists its URL', listed.content === `${baseUrl}/api/v2/users/${account}/media/logo.png`, listed);

  const withSlash = () => api.uploadMedia(account, '2024/1/logo.png', png, 'image/png');
  // The SDK encodes the slash, which the provider does not take.
  await checkFails('bandwidth refuses an encoded slash', hasStatus(400), withSlash);
  await control('switches', { bandwidth: { strict_slash: false } });
  check('bandwidth decodes a slash where it is lenient', (await withSlash()).status === 204);
  const names = (await api.listMedia(account)).data.map((media) => media.mediaName);
  check('bandwidth lists the decoded name', names.includes('2024/1/logo.png'), names);

  // Without a type the SDK sends the JSON of the buffer: accepted, and not the picture.
  await api.uploadMedia(account, 'untyped.png', png);
  const untyped = await api.getMedia(account, 'untyped.png');
  check('bandwidth stores what an untyped upload really sends', untyped.data.type === 'Buffer', untyped.data);

  const wrong = bandwidthApi({ username: 'bwuser', password: 'wrong' });
  await checkFails('bandwidth refuses a wrong password', hasStatus(401), () => wrong.listMedia(account));
  const oauth = bandwidthApi({ accessToken: fetchToken });
  check('bandwidth takes a token', (await oauth.listMedia(account)).status === 200);

  for (const claim of ['deletes', 'deletes what is not there']) {
    check(`bandwidth ${claim}`, (await api.deleteMedia(account, 'logo.png')).status === 204);
  }
  await checkFails('bandwidth does not find what was deleted', hasStatus(404), () => api.getMedia(account, 'logo.png'));
}

async function checkPlivo(folder) {
  const connect = (token) => new plivo.Client(authId, token, { url: `${baseUrl}/v1/Account/${authId}` });
  const client = connect(password);
  const files = ['logo.png', 'my löwe.jpg'].map((name) => path.join(folder, name));
  for (const file of files) fs.writeFileSync(file, png);
  const { objects } = await client.media.upload(files);
  const codes = objects.map((media) => media.statusCode ?? media.status_code);
  check('plivo uploads two files', codes.join() === '201,201', objects);
  const id = objects[0].mediaId ?? objects[0].media_id;

  const one = await client.media.get(id);
  check('plivo gets one, with a body in its GET',
    one.mediaId === id && one.fileName === 'logo.png' && one.size === png.length, one);
  const listed = await client.media.list({ limit: 1, offset: 1 });
  check('plivo lists by limit and offset', listed.length === 1 && listed[0].fileName === 'my löwe.jpg', listed);
  const total = listed.meta.totalCount ?? listed.meta.total_count;
  check('plivo counts them all', total === 2, listed.meta);

  const url = objects[0].mediaUrl ?? objects[0].media_url;
  const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
  check('plivo serves the bytes to anybody', png.equals(bytes), url);
  await checkFails('plivo refuses a wrong token', (error) => error.status === 401,
    () => connect('wrong').media.list());
  await control('clock', { advance: '6h' });
  await checkFails('plivo forgets after 6 hours', (error) => error.status === 404,
    () => client.media.get(id));
}

async function main() {
  await checkBandwidth();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sdk-files-'));
  try {
    await checkPlivo(folder);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
  console.log(`${passed} checks passed`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
