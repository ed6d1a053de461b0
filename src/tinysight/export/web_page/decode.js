// An image file's bytes to its pixels: steps 1 to 3 of docs/images.md, and the orientation.
//
// PNG is decoded here, because a browser loses 16 bits and what lies under alpha. The other formats are decoded by the
// browser, without the parts of the file that would make it turn the picture or convert its colours.

import { prepare } from "./formats.js";
import { decodePng } from "./png.js";
import { Refusal } from "./refusal.js";

const MAX_PIXELS = 25_000_000;

/**
 * @param {Uint8Array} bytes of the file.
 * @param {number} least how long a side counts at least: the model's width, which the first stretch makes of any.
 * @returns {Promise<{width: number, height: number, data: Uint8Array, orientation: number}>} RGBA, not premultiplied.
 */
export async function decode(bytes, least) {
  const file = damagedUnlessRead(() => prepare(bytes));
  const { width, height } = file;
  if (width < 1 || height < 1) throw new Refusal(`The picture is damaged: it says that it is ${width} x ${height} pixels.`);
  if (Math.max(width, least) * Math.max(height, least) > MAX_PIXELS) {
    const thin = width * height > MAX_PIXELS ? "" : `, a side counting as ${least} or more`;
    throw new Refusal(
      `The picture has ${words(width)} x ${words(height)} pixels; at most ${words(MAX_PIXELS)} in all are decoded${thin}.`,
    );
  }
  if (file.kind === "PNG") return await decodePng(bytes, file);
  const bitmap = await byBrowser(file);
  return { width: bitmap.width, height: bitmap.height, data: pixelsOf(bitmap, file.hasAlpha), orientation: file.orientation };
}

function words(number) {
  return number.toLocaleString("en");
}

/** Reading past the end of a file is damage of the file. */
function damagedUnlessRead(step) {
  try {
    return step();
  } catch (error) {
    if (error instanceof RangeError) throw new Refusal("The picture is damaged or cut off.");
    throw error;
  }
}

async function byBrowser({ bytes, type }) {
  try {
    return await createImageBitmap(new Blob([bytes], { type }), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Refusal("The picture is damaged or cut off.");
  }
}

function pixelsOf(bitmap, hasAlpha) {
  return (hasAlpha && throughTexture(bitmap)) || throughCanvas(bitmap);
}

/** Exact where alpha is 0 or 255 everywhere: a canvas holds colours multiplied by alpha, in 8 bits. */
function throughCanvas(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

/** Exact with any alpha: a texture holds what it is given. Null where there is no WebGL or the picture is too large. */
function throughTexture(bitmap) {
  const gl = new OffscreenCanvas(1, 1).getContext("webgl");
  if (!gl || Math.max(bitmap.width, bitmap.height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, gl.getParameter(gl.TEXTURE_BINDING_2D), 0);
  const pixels = new Uint8Array(4 * bitmap.width * bitmap.height);
  gl.readPixels(0, 0, bitmap.width, bitmap.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  const failed = gl.getError() !== gl.NO_ERROR;
  // Browsers allow few contexts at once.
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return failed ? null : pixels;
}
