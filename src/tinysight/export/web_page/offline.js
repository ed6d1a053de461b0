// A service worker: keeps every file of this folder, so that the page works without a network once it was loaded.

// Written by the export: a digest of all the files, and their names.
const VERSION = "@VERSION@";
const FILES = ["@FILES@"];

// Other folders of the same host may keep files too.
const prefix = `tinysight ${self.registration.scope} `;
const name = prefix + VERSION;

self.addEventListener("install", (event) => {
  // "no-cache" asks the host whether what the browser has is still good, and fetches only what is not.
  const requests = FILES.map((file) => new Request(file, { cache: "no-cache" }));
  event.waitUntil(caches.open(name).then((cache) => cache.addAll(requests)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys().then((names) =>
      Promise.all(names.filter((other) => other.startsWith(prefix) && other !== name).map((old) => caches.delete(old))),
    ),
  );
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  event.respondWith(
    caches.open(name).then(async (cache) => (await cache.match(event.request, { ignoreSearch: true })) ?? fetch(event.request)),
  );
});
