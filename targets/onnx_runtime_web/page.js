// Runs a model in this page, and stamps by this page's clock. The harness calls `bench`; tensors go and come by HTTP.
// What is timed holds what an application does too (tensors made, run awaited, the next token chosen) and nothing else.

const ARRAYS = {
  float32: Float32Array, float64: Float64Array, float16: globalThis.Float16Array, bool: Uint8Array,
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array,
  int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array,
};
const now = () => performance.now();
let ort, session, plan, cache, used, text;

// Opening

async function open(asked) {
  const began = now();
  ort = await import(`./dist/${asked.script}`);
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = new URL("./dist/", location.href).href;
  if (asked.threads) ort.env.wasm.numThreads = asked.threads;
  const imported = now();
  const model = await bytes(asked.model);
  const externalData = await Promise.all(
    Object.entries(asked.external).map(async ([path, place]) => ({ path, data: await bytes(place) })),
  );
  const fetched = now();
  const provider = { ...asked.providerOptions, name: asked.provider };
  const options = { ...asked.options, executionProviders: [provider] };
  if (asked.kept.length) options.preferredOutputLocation = Object.fromEntries(asked.kept.map((name) => [name, "gpu-buffer"]));
  session = await ort.InferenceSession.create(model, externalData.length ? { ...options, externalData } : options);
  const created = now();
  return {
    parts: { page: began, script: imported - began, fetch: fetched - imported, create: created - fetched },
    inputs: session.inputMetadata, outputs: session.outputMetadata,
    versions: ort.env.versions, threads: ort.env.wasm.numThreads ?? 0, simd: String(ort.env.wasm.simd ?? "default"),
    adapter: await adapterTold(asked.provider),
  };
}

async function bytes(place) {
  const answer = await fetch(place);
  if (!answer.ok) throw new Error(`${place}: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function adapterTold(provider) {
  if (provider !== "webgpu") return null;
  const info = (await ort.env.webgpu.device)?.adapterInfo ?? (await navigator.gpu?.requestAdapter())?.info;
  return info ? [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(" ") : "unknown";
}

function surroundings() {
  return {
    isolated: crossOriginIsolated, cores: navigator.hardwareConcurrency, agent: navigator.userAgent,
    halves: Boolean(globalThis.Float16Array), webgpu: Boolean(navigator.gpu), resolution: resolution(),
  };
}

function resolution() { // the smallest step seen, in ms
  let smallest = Infinity, last = now();
  for (const end = last + 50; last < end; ) {
    const next = now();
    if (next > last) { smallest = Math.min(smallest, next - last); last = next; }
  }
  return smallest;
}

// Tensors

function tensor(type, data, dims) { return new ort.Tensor(type, data, dims); }

async function take(specs) { // what the harness has laid ready
  const all = (await bytes("take")).buffer;
  let at = 0;
  const feeds = {};
  for (const { name, type, dims, length } of specs) {
    const part = all.slice(at, at + length);
    feeds[name] = tensor(type, new ARRAYS[type](part), dims);
    at += length;
  }
  return feeds;
}

async function give(tensors) { // what they are; the numbers go on their own
  const told = [], parts = [];
  for (const [name, each] of Object.entries(tensors)) {
    const data = await each.getData();
    if (!ArrayBuffer.isView(data)) throw new Error(`output ${name} is ${each.type}, which is not read`);
    told.push({ name, type: each.type, dims: [...each.dims], length: data.byteLength });
    parts.push(data.buffer instanceof ArrayBuffer ? data : data.slice());
  }
  const answer = await fetch("give", { method: "POST", body: new Blob(parts) });
  if (!answer.ok) throw new Error(`give: ${answer.status}`);
  return told;
}

// Any model

async function infer({ inputs, count }) {
  const feeds = await take(inputs), stamps = new Float64Array(count + 1);
  let outputs;
  stamps[0] = now();
  for (let done = 1; done <= count; done++) {
    drop(outputs); // an application gives back what lies on the graphics processor too
    outputs = await session.run(feeds);
    stamps[done] = now();
  }
  const told = await give(outputs);
  drop(outputs);
  return { stamps: [...stamps], outputs: told };
}

// Language models

function language(asked) { plan = asked; reset(); }

function reset() {
  drop(cache);
  cache = {};
  used = 0;
  text = []; // what a model without a cache is fed again and again
  for (const { past, type, heads, size } of plan.cache) cache[past] = tensor(type, new ARRAYS[type](0), [1, heads, 0, size]);
}

function drop(tensors) { for (const each of Object.values(tensors ?? {})) if (each.location !== "cpu") each.dispose(); }

function whole(type, values) { return type === "int64" ? BigInt64Array.from(values, BigInt) : Int32Array.from(values); }

async function forward(tokens, kept) { // the logits of this call, a tensor
  if (!plan.cache.length) { text.push(...tokens); tokens = text; used = 0; }
  const count = tokens.length, stop = used + count, row = [1, count], feeds = { ...cache };
  feeds[plan.tokens.name] = tensor(plan.tokens.type, whole(plan.tokens.type, tokens), row);
  if (plan.mask) {
    const ones = plan.mask.type === "int64" ? new BigInt64Array(stop).fill(1n) : new Int32Array(stop).fill(1);
    feeds[plan.mask.name] = tensor(plan.mask.type, ones, [1, stop]);
  }
  if (plan.positions) {
    const from = Array.from(tokens, (_, index) => used + index);
    feeds[plan.positions.name] = tensor(plan.positions.type, whole(plan.positions.type, from), row);
  }
  if (plan.segments) feeds[plan.segments.name] = tensor(plan.segments.type, whole(plan.segments.type, new Array(count).fill(0)), row);
  if (plan.kept) feeds[plan.kept.name] = tensor(plan.kept.type, whole(plan.kept.type, [kept]), plan.kept.dims);
  if (plan.branch) feeds[plan.branch.name] = tensor("bool", new Uint8Array([used > 0 ? 1 : 0]), [1]);
  const outputs = await session.run(feeds), held = cache;
  cache = {};
  for (const { past, present } of plan.cache) cache[past] = outputs[present];
  drop(held);
  used = stop;
  return outputs[plan.logits];
}

async function lastRow(tokens) {
  const logits = await forward(tokens, 1), data = await logits.getData(), size = logits.dims.at(-1);
  return data.subarray(data.length - size);
}

async function extend({ tokens }) {
  const row = await lastRow(tokens);
  return give({ row: tensor(plan.logitsType, row, [row.length]) });
}

async function score({ tokens }) {
  reset();
  try {
    return await give({ rows: await forward(tokens, 0) });
  } finally {
    reset();
  }
}

function best(row) {
  let at = 0;
  for (let index = 1; index < row.length; index++) if (row[index] > row[at]) at = index;
  return at;
}

async function generate({ prompt, count }) {
  reset();
  const stamps = new Float64Array(count + 1), tokens = new Int32Array(count);
  stamps[0] = now();
  for (let done = 0; done < count; done++) {
    tokens[done] = best(await lastRow(done ? [tokens[done - 1]] : prompt));
    stamps[done + 1] = now();
  }
  return { stamps: [...stamps], tokens: [...tokens] };
}

// What the harness calls: words instead of an error, which would lose them on its way

const verbs = { open, surroundings, infer, language, reset, extend, score, generate };
globalThis.bench = async (verb, asked) => {
  try {
    return { done: (await verbs[verb](asked)) ?? null };
  } catch (error) {
    return { failed: String(error?.message ?? error).slice(0, 4000) || "an error without words" };
  }
};
