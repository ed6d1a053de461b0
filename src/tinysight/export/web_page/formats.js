// What an image file is by its bytes, its size, its orientation, whether all of it is there; and the same file without
// colour profile and Exif.

import { Refusal } from "./refusal.js";

const SUPPORTED = "PNG, JPEG, WebP, GIF, BMP";
const OTHERS = [
  [0, "II*\0", "TIFF"], [0, "MM\0*", "TIFF"], [4, "ftypavif", "AVIF"], [4, "ftyphei", "HEIC"], [4, "ftypmif1", "HEIC"],
  [0, "8BPS", "Photoshop"], [0, "\0\0\x01\0", "ICO"], [0, "%PDF", "PDF"], [0, "\xff\x0a", "JPEG XL"], [4, "JXL ", "JPEG XL"],
  [4, "jP  ", "JPEG 2000"], [0, "<svg", "SVG"], [0, "<?xml", "XML or SVG"],
];

/**
 * @param {Uint8Array} bytes of the file.
 * @returns {{kind: string, type: string, bytes: Uint8Array, width: number, height: number, orientation: number,
 *   hasAlpha: boolean}} `bytes` for the browser's decoder.
 * @throws {Refusal} when it is none of the five formats or not all there.
 * @throws {RangeError} when it ends within a header.
 */
export function prepare(bytes) {
  if (!bytes.length) throw new Refusal("The picture is empty.");
  const starts = (text, offset = 0) => textAt(bytes, offset, text.length) === text;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (starts("\x89PNG\r\n\x1a\n")) return { kind: "PNG", width: view.getUint32(16), height: view.getUint32(20) };
  if (starts("\xff\xd8\xff")) return preparedJpeg(bytes, view);
  if (starts("RIFF") && starts("WEBP", 8)) return preparedWebp(bytes, view);
  if (starts("GIF87a") || starts("GIF89a")) return preparedGif(bytes, view);
  if (starts("BM")) return preparedBmp(bytes, view);
  const other = OTHERS.find(([offset, text]) => starts(text, offset));
  if (other) throw new Refusal(`The picture is ${other[2]}, which is not supported; expected ${SUPPORTED}.`);
  throw new Refusal(`This is not an image; expected ${SUPPORTED}.`);
}

/** The orientation, 1 to 8; 1 when there is none or it cannot be read. Source: Exif 2.3, 4.6.4; TIFF 6.0, section 2. */
export function orientationOf(exif) {
  const start = textAt(exif, 0, 6) === "Exif\0\0" ? 6 : 0;
  const tiff = new DataView(exif.buffer, exif.byteOffset + start, exif.length - start);
  const order = textAt(exif, start, 4);
  if ((order !== "II*\0" && order !== "MM\0*") || tiff.byteLength < 8) return 1;
  const little = order === "II*\0";
  const directory = tiff.getUint32(4, little);
  if (directory + 2 > tiff.byteLength) return 1;
  const num = tiff.getUint16(directory, little);
  for (let entry = directory + 2, left = num; left > 0 && entry + 12 <= tiff.byteLength; entry += 12, left -= 1) {
    if (tiff.getUint16(entry, little) !== 0x0112) continue;
    const value = tiff.getUint16(entry + 8, little);
    const isShort = tiff.getUint16(entry + 2, little) === 3 && tiff.getUint32(entry + 4, little) === 1;
    return isShort && value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

function textAt(bytes, offset, length) {
  return String.fromCharCode(...bytes.subarray(offset, offset + length));
}

function cutOff() {
  return new Refusal("The picture is damaged or cut off.");
}

function joined(parts) {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    result.set(part, place);
    place += part.length;
  }
  return result;
}

// Source: ITU-T T.81, annex B; Exif 2.3, 4.7.2; ICC.1, annex B.4.
function preparedJpeg(bytes, view) {
  const kept = [bytes.subarray(0, 2)];
  const exif = [];
  let size = null;
  let place = 2;
  for (;;) {
    // Any number of fill bytes may stand before a marker.
    while (view.getUint8(place) === 0xff && view.getUint8(place + 1) === 0xff) place += 1;
    if (view.getUint8(place) !== 0xff) throw cutOff();
    const marker = view.getUint8(place + 1);
    if (marker === 0xda) break;
    const end = place + 2 + view.getUint16(place + 2);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) size ??= { height: view.getUint16(place + 5), width: view.getUint16(place + 7) };
    if (marker === 0xe1 && textAt(bytes, place + 4, 6) === "Exif\0\0") exif.push(bytes.subarray(place + 10, end));
    if (marker !== 0xe1 && marker !== 0xe2) kept.push(bytes.subarray(place, end));
    place = end;
  }
  const scans = bytes.subarray(place);
  if (!size || !hasEnd(scans)) throw cutOff();
  return { kind: "JPEG", type: "image/jpeg", bytes: joined([...kept, scans]), ...size, orientation: orientationOf(joined(exif)), hasAlpha: false };
}

function hasEnd(scans) {
  for (let place = scans.length - 2; place >= 0; place -= 1) {
    if (scans[place] === 0xff && scans[place + 1] === 0xd9) return true;
  }
  return false;
}

// Source: RFC 9649, sections 2.3 to 2.7 and 3.4.
function preparedWebp(bytes, view) {
  const end = 8 + view.getUint32(4, true);
  if (end > bytes.length) throw cutOff();
  const kept = [];
  let exif = new Uint8Array(0);
  for (let place = 12; place + 8 <= end;) {
    const name = textAt(bytes, place, 4);
    const length = view.getUint32(place + 4, true);
    if (place + 8 + length > end) throw cutOff();
    const next = place + 8 + length + (length % 2);
    const chunk = bytes.slice(place, Math.min(next, bytes.length));
    if (name === "EXIF") exif = bytes.subarray(place + 8, place + 8 + length);
    // The bits that announce a colour profile, Exif and XMP.
    if (name === "VP8X") chunk[8] &= ~0x2c;
    if (!["EXIF", "ICCP", "XMP "].includes(name)) kept.push(chunk);
    place = next;
  }
  const body = joined(kept);
  const head = bytes.slice(0, 12);
  new DataView(head.buffer).setUint32(4, 4 + body.length, true);
  return { kind: "WebP", type: "image/webp", bytes: joined([head, body]), ...webpSize(bytes, view), orientation: orientationOf(exif) };
}

function webpSize(bytes, view) {
  const name = textAt(bytes, 12, 4);
  const at24 = (place) => view.getUint16(place, true) + 0x10000 * view.getUint8(place + 2);
  if (name === "VP8X") return { width: 1 + at24(24), height: 1 + at24(27), hasAlpha: (bytes[20] & 0x10) !== 0 };
  if (name === "VP8L") {
    const bits = view.getUint32(21, true);
    return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >> 14) & 0x3fff), hasAlpha: ((bits >> 28) & 1) === 1 };
  }
  return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff, hasAlpha: false };
}

// Source: GIF89a specification, sections 15 to 27. Alpha is all or nothing here, which a canvas keeps exactly.
function preparedGif(bytes, view) {
  const colours = (flags) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  const skipBlocks = (place) => {
    while (view.getUint8(place) !== 0) place += 1 + view.getUint8(place);
    return place + 1;
  };
  let place = 13 + colours(view.getUint8(10));
  while (view.getUint8(place) === 0x21) place = skipBlocks(place + 2);
  if (view.getUint8(place) !== 0x2c) throw cutOff();
  skipBlocks(place + 11 + colours(view.getUint8(place + 9)));
  const size = { width: view.getUint16(6, true), height: view.getUint16(8, true) };
  return { kind: "GIF", type: "image/gif", bytes, ...size, orientation: 1, hasAlpha: false };
}

// Source: Microsoft, BITMAPINFOHEADER; RLE (1 and 2) has no size that follows from the header.
function preparedBmp(bytes, view) {
  const isOld = view.getUint32(14, true) === 12;
  const width = isOld ? view.getUint16(18, true) : view.getInt32(18, true);
  const height = isOld ? view.getUint16(20, true) : Math.abs(view.getInt32(22, true));
  const bits = view.getUint16(isOld ? 24 : 28, true);
  const isPacked = !isOld && [1, 2].includes(view.getUint32(30, true));
  const rowBytes = 4 * Math.ceil((width * bits) / 32);
  if (!isPacked && view.getUint32(10, true) + rowBytes * height > bytes.length) throw cutOff();
  return { kind: "BMP", type: "image/bmp", bytes, width, height, orientation: 1, hasAlpha: false };
}
