// A PNG decoder for every colour type, depth and interlace. Source: W3C, PNG specification (third edition).

import { orientationOf } from "./formats.js";
import { Refusal } from "./refusal.js";

const GREY = 0, COLOUR = 2, PALETTE = 3, GREY_ALPHA = 4, COLOUR_ALPHA = 6;
const NUM_VALUES = { [GREY]: 1, [COLOUR]: 3, [PALETTE]: 1, [GREY_ALPHA]: 2, [COLOUR_ALPHA]: 4 };
const DEPTHS = { [GREY]: [1, 2, 4, 8, 16], [COLOUR]: [8, 16], [PALETTE]: [1, 2, 4, 8], [GREY_ALPHA]: [8, 16], [COLOUR_ALPHA]: [8, 16] };
// First column, first row, and the steps to the next, of Adam7's passes (section 8.1).
const PASSES = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

/**
 * @param {Uint8Array} bytes of the file.
 * @returns {Promise<{width: number, height: number, data: Uint8Array, orientation: number}>} RGBA by docs/images.md.
 */
export async function decodePng(bytes) {
  const image = read(bytes);
  const rows = await inflate(image.data, passesOf(image).reduce((sum, pass) => sum + pass.height * (1 + pass.rowBytes), 0));
  const data = new Uint8Array(4 * image.width * image.height);
  const paint = painter(image, data);
  let place = 0;
  for (const pass of passesOf(image)) {
    unfilter(rows, place, pass, Math.max(1, (image.depth * NUM_VALUES[image.colour]) >> 3));
    for (let y = 0; y < pass.height; y += 1) {
      const row = rows.subarray(place + y * (1 + pass.rowBytes) + 1, place + (y + 1) * (1 + pass.rowBytes));
      for (let x = 0; x < pass.width; x += 1) {
        paint(row, x, (pass.top + y * pass.down) * image.width + pass.left + x * pass.across);
      }
    }
    place += pass.height * (1 + pass.rowBytes);
  }
  return { width: image.width, height: image.height, data, orientation: orientationOf(image.exif) };
}

function damaged() {
  return new Refusal("The picture is damaged or cut off.");
}

function read(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const image = { exif: new Uint8Array(0), palette: new Uint8Array(0), transparent: null, data: [] };
  for (let place = 8; place + 12 <= bytes.length;) {
    const length = view.getUint32(place);
    const name = String.fromCharCode(...bytes.subarray(place + 4, place + 8));
    const body = bytes.subarray(place + 8, place + 8 + length);
    if (place + 12 + length > bytes.length) {
      // The last chunk of pixels may lack only what no pixel needs; inflating will say.
      if (name === "IDAT") image.data.push(body);
      break;
    }
    if (name !== "IDAT" && !image.data.length && crc(bytes.subarray(place + 4, place + 8 + length)) !== view.getUint32(place + 8 + length)) {
      throw damaged();
    }
    if (name === "IHDR") Object.assign(image, header(body));
    else if (name === "PLTE") image.palette = body;
    else if (name === "tRNS") image.transparent = body;
    else if (name === "eXIf") image.exif = body;
    else if (name === "IDAT") image.data.push(body);
    else if (name === "IEND") break;
    place += 12 + length;
  }
  if (!image.width || !image.data.length) throw damaged();
  return image;
}

function header(body) {
  const [depth, colour, compression, filter, interlace] = body.subarray(8, 13);
  if (body.length !== 13 || !DEPTHS[colour]?.includes(depth) || compression || filter || interlace > 1) throw damaged();
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  return { width: view.getUint32(0), height: view.getUint32(4), depth, colour, isInterlaced: interlace === 1 };
}

function passesOf({ width, height, depth, colour, isInterlaced }) {
  const passes = isInterlaced ? PASSES : [[0, 0, 1, 1]];
  return passes
    .map(([left, top, across, down]) => ({
      left, top, across, down,
      width: Math.max(0, Math.ceil((width - left) / across)),
      height: Math.max(0, Math.ceil((height - top) / down)),
    }))
    .filter((pass) => pass.width && pass.height)
    .map((pass) => ({ ...pass, rowBytes: Math.ceil((pass.width * depth * NUM_VALUES[colour]) / 8) }));
}

/** Exactly `size` bytes: never more, whatever a file that lies about its size would unpack to. */
async function inflate(parts, size) {
  const result = new Uint8Array(size);
  const reader = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  let place = 0;
  while (place < size) {
    const { done, value } = await reader.read().catch(() => { throw damaged(); });
    if (done) throw damaged();
    result.set(value.subarray(0, size - place), place);
    place += value.length;
  }
  // Bytes after the last pixel are nobody's; a stream with a fault there is as good as any.
  await reader.cancel().catch(() => {});
  return result;
}

function unfilter(rows, start, { height, rowBytes }, step) {
  let above = new Uint8Array(rowBytes);
  for (let y = 0; y < height; y += 1) {
    const at = start + y * (1 + rowBytes);
    const row = rows.subarray(at + 1, at + 1 + rowBytes);
    unfilterRow(rows[at], row, above, step);
    above = row;
  }
}

function unfilterRow(filter, row, above, step) {
  if (filter === 0) return;
  if (filter > 4) throw damaged();
  for (let x = 0; x < row.length; x += 1) {
    const left = x >= step ? row[x - step] : 0;
    if (filter === 1) row[x] += left;
    else if (filter === 2) row[x] += above[x];
    else if (filter === 3) row[x] += (left + above[x]) >> 1;
    else row[x] += paeth(left, above[x], x >= step ? above[x - step] : 0);
  }
}

function paeth(left, above, corner) {
  const guess = left + above - corner;
  const [byLeft, byAbove, byCorner] = [Math.abs(guess - left), Math.abs(guess - above), Math.abs(guess - corner)];
  if (byLeft <= byAbove && byLeft <= byCorner) return left;
  return byAbove <= byCorner ? above : corner;
}

/** A function (row, x, pixel) that writes one pixel of the image as RGBA, of 8 bits each. */
function painter(image, data) {
  const { depth, colour } = image;
  const set = (pixel, red, green, blue, alpha) => {
    data[4 * pixel] = red;
    data[4 * pixel + 1] = green;
    data[4 * pixel + 2] = blue;
    data[4 * pixel + 3] = alpha;
  };
  if (colour === PALETTE) return palettePainter(image, set);
  if (colour === GREY) return greyPainter(image, set);
  // The high byte is the first; of the low one nothing is kept.
  const width = depth / 8;
  const values = NUM_VALUES[colour];
  if (colour === GREY_ALPHA) {
    return (row, x, pixel) => {
      const grey = row[values * width * x];
      set(pixel, grey, grey, grey, row[(values * x + 1) * width]);
    };
  }
  if (colour === COLOUR_ALPHA) {
    return (row, x, pixel) => {
      const at = values * width * x;
      set(pixel, row[at], row[at + width], row[at + 2 * width], row[at + 3 * width]);
    };
  }
  const key = colourKey(image);
  return (row, x, pixel) => {
    const at = values * width * x;
    const [red, green, blue] = [row[at], row[at + width], row[at + 2 * width]];
    set(pixel, red, green, blue, red === key[0] && green === key[1] && blue === key[2] ? 0 : 255);
  };
}

/** The colour that the file declares transparent, of 8 bits each; of 16 the high byte, as of the pixels. */
function colourKey({ transparent, depth }) {
  if (!transparent || transparent.length < 6) return [-1, -1, -1];
  return [0, 2, 4].map((at) => (depth === 16 ? transparent[at] : 256 * transparent[at] + transparent[at + 1]));
}

function greyPainter({ depth, transparent }, set) {
  const key = transparent && transparent.length >= 2 ? 256 * transparent[0] + transparent[1] : -1;
  const spread = depth < 8 ? 255 / (2 ** depth - 1) : 1;
  return (row, x, pixel) => {
    const value = valueAt(row, x, depth);
    const grey = depth === 16 ? Math.floor((value + 128) / 257) : value * spread;
    set(pixel, grey, grey, grey, value === key ? 0 : 255);
  };
}

function palettePainter({ depth, palette, transparent }, set) {
  const alphas = transparent ?? [];
  return (row, x, pixel) => {
    const index = valueAt(row, x, depth);
    const at = 3 * index;
    set(pixel, palette[at] ?? 0, palette[at + 1] ?? 0, palette[at + 2] ?? 0, alphas[index] ?? 255);
  };
}

function valueAt(row, x, depth) {
  if (depth === 8) return row[x];
  if (depth === 16) return 256 * row[2 * x] + row[2 * x + 1];
  const bit = x * depth;
  return (row[bit >> 3] >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
}

let crcTable = null;

/** Source: PNG specification, annex D. */
function crc(bytes) {
  crcTable ??= Uint32Array.from({ length: 256 }, (_, index) => {
    let value = index;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
    return value;
  });
  let value = 0xffffffff;
  for (const byte of bytes) value = crcTable[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
