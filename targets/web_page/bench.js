// What any runtime's script in a page needs: the page's clock, the harness's questions, tensors that go and come by HTTP.

export const ARRAYS = {
  float32: Float32Array, float64: Float64Array, float16: globalThis.Float16Array, bool: Uint8Array,
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array,
  int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array,
};
export const now = () => performance.now();

export async function bytes(place) {
  const answer = await fetch(place);
  if (!answer.ok) throw new Error(`${place}: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

export async function take(specs, tensor) { // what the harness has laid ready
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

export async function give(tensors) { // what they are; the numbers go on their own
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

export function whole(type, values) { return type === "int64" ? BigInt64Array.from(values, BigInt) : Int32Array.from(values); }

export function best(row) {
  let at = 0;
  for (let index = 1; index < row.length; index++) if (row[index] > row[at]) at = index;
  return at;
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

export function answers(verbs) { // from now on, words instead of an error, which would lose them on its way
  const known = { surroundings, ...verbs };
  globalThis.bench = async (verb, asked) => {
    try {
      return { done: (await known[verb](asked)) ?? null };
    } catch (error) {
      return { failed: String(error?.message ?? error).slice(0, 4000) || "an error without words" };
    }
  };
}
