// Runs a model in this page, and stamps by this page's clock. The harness calls `bench` (see bench.js).
// What is timed holds what an application does too (tensors made, run awaited, the next token chosen) and nothing else.

import { ARRAYS, answers, best, bytes, give, now, take, whole } from "./bench.js";

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

async function adapterTold(provider) {
  if (provider !== "webgpu") return null;
  const info = (await ort.env.webgpu.device)?.adapterInfo ?? (await navigator.gpu?.requestAdapter())?.info;
  return info ? [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(" ") : "unknown";
}

function tensor(type, data, dims) { return new ort.Tensor(type, data, dims); }

// Any model

async function infer({ inputs, count }) {
  const feeds = await take(inputs, tensor), stamps = new Float64Array(count + 1);
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

// Language models: `plan` is the signature that targets/onnx_format/signature.py has read, whose names these are

function language(asked) { plan = asked; reset(); }

function reset() {
  drop(cache);
  cache = {};
  used = 0;
  text = []; // what a model without a cache is fed again and again
  for (const { past, dtype, heads, head_size } of plan.cache) {
    cache[past] = tensor(dtype, new ARRAYS[dtype](0), [1, heads, 0, head_size]);
  }
}

function drop(tensors) { for (const each of Object.values(tensors ?? {})) if (each.location !== "cpu") each.dispose(); }

async function forward(tokens, kept) { // the logits of this call, a tensor
  if (!plan.cache.length) { text.push(...tokens); tokens = text; used = 0; }
  const count = tokens.length, stop = used + count, row = [1, count], feeds = { ...cache };
  const feed = (name, type, values) => { feeds[name] = tensor(type, whole(type, values), row); };
  feed("input_ids", plan.token_dtype, tokens);
  if (plan.mask_dtype) {
    const ones = plan.mask_dtype === "int64" ? new BigInt64Array(stop).fill(1n) : new Int32Array(stop).fill(1);
    feeds.attention_mask = tensor(plan.mask_dtype, ones, [1, stop]);
  }
  if (plan.position_dtype) feed("position_ids", plan.position_dtype, Array.from(tokens, (_, index) => used + index));
  if (plan.segment_dtype) feed("token_type_ids", plan.segment_dtype, new Array(count).fill(0));
  if (plan.kept) feeds[plan.kept.name] = tensor(plan.kept.dtype, whole(plan.kept.dtype, [kept]), plan.kept.shape.map(() => 1));
  if (plan.has_cache_branch) feeds.use_cache_branch = tensor("bool", new Uint8Array([used > 0 ? 1 : 0]), [1]);
  const outputs = await session.run(feeds), held = cache;
  cache = {};
  for (const { past, present } of plan.cache) cache[past] = outputs[present];
  drop(held);
  used = stop;
  return outputs.logits;
}

async function lastRow(tokens) {
  const logits = await forward(tokens, 1), data = await logits.getData(), size = logits.dims.at(-1);
  return data.subarray(data.length - size);
}

async function append({ tokens, kept }) { // the last token's logits, or with `kept` 0 all of them
  if (!kept) return give({ logits: await forward(tokens, 0) });
  const row = await lastRow(tokens);
  return give({ logits: tensor(plan.logits_dtype, row, [1, 1, row.length]) });
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

answers({ open, infer, language, reset, append, generate });
