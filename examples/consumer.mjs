#!/usr/bin/env node
// Prints the URL of a media that is alive at its provider; shows how an application reads mediakeep's state file.
//
//   consumer.mjs STATE FILE PROVIDER
//   consumer.mjs /var/lib/mediakeep/state.json brand/logo.png bandwidth
//
// The URL goes to standard output, its end of life to standard error. Exit 0: here is the URL. 4: there is no live one.
// 1: the state file can't be read. Needs Node 18 and nothing else.

import { realpathSync } from "node:fs";
import { open } from "node:fs/promises";
import { pathToFileURL } from "node:url";

/** The live URLs of a state file. The file is read again whenever it has been replaced, so keep one of these. */
export class Media {
  #path;
  #seen;
  #media = {};

  constructor(statePath) {
    this.#path = statePath;
  }

  /** The entry with its url, expires_at, blake3 and so on; null where nothing is alive. */
  async find(file, provider) {
    await this.#readAgainIfReplaced();
    const own = (object, key) => (object && Object.hasOwn(object, key) ? object[key] : undefined);
    const entry = own(own(this.#media, file), provider);
    if (!entry?.url) return null;
    // Compared here too: should nobody renew any more, the file still says what it said last.
    return Date.now() < Date.parse(entry.expires_at) ? entry : null;
  }

  async #readAgainIfReplaced() {
    const file = await open(this.#path);
    try {
      // Of the open file, not of the name: that may have been replaced in between. What is open stays whole.
      const stat = await file.stat({ bigint: true });
      const version = `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
      if (version === this.#seen) return;
      const state = JSON.parse(await file.readFile("utf8"));
      if (state.format !== 1) {
        throw new Error(`state format ${state.format}, written by ${state.writer}, is not known here`);
      }
      this.#media = state.media;
      this.#seen = version;
    } finally {
      await file.close();
    }
  }
}

async function main([statePath, file, provider, ...rest]) {
  if (provider === undefined || rest.length > 0) {
    console.error("usage: consumer.mjs STATE FILE PROVIDER");
    return 2;
  }
  const entry = await new Media(statePath).find(file, provider);
  if (entry === null) {
    console.error(`no live URL for ${file} at ${provider}`);
    return 4;
  }
  console.error(`alive until ${entry.expires_at}`);
  console.log(entry.url);
  return 0;
}

// Run, not imported.
if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  main(process.argv.slice(2)).then(
    (status) => { process.exitCode = status; },
    (error) => { console.error(error.message); process.exitCode = 1; },
  );
}
