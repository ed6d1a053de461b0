// From a decoded picture to the model's input: steps 4 to 7 of docs/images.md, bit by bit.

const PRECISION_BITS = 22;

/**
 * @param {{width: number, height: number, data: Uint8Array}} picture RGBA, alpha not premultiplied.
 * @param {[number, number, number]} shape height, width and channels (1 or 3) of the model.
 * @param {number} orientation of Exif, 1 to 8.
 * @returns {Uint8Array} height * width * channels values.
 */
export function toInput(picture, [height, width, channels], orientation) {
  const opaque = { ...picture, data: overWhite(picture.data, channels) };
  const upright = turn(opaque, channels, orientation);
  const wide = stretch(upright.data, upright.height, upright.width, width, channels);
  return stretch(wide, 1, upright.height, height, width * channels);
}

/** Alpha over white, then grey or RGB. */
function overWhite(data, channels) {
  const num = data.length / 4;
  const result = new Uint8Array(num * channels);
  for (let pixel = 0; pixel < num; pixel += 1) {
    const at = 4 * pixel;
    const alpha = data[at + 3];
    const white = 255 * (255 - alpha) + 127;
    const red = Math.trunc((data[at] * alpha + white) / 255);
    const green = Math.trunc((data[at + 1] * alpha + white) / 255);
    const blue = Math.trunc((data[at + 2] * alpha + white) / 255);
    if (channels === 1) {
      result[pixel] = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16;
    } else {
      result[3 * pixel] = red;
      result[3 * pixel + 1] = green;
      result[3 * pixel + 2] = blue;
    }
  }
  return result;
}

/** Source: Exif 2.3, 4.6.4. */
function turn({ width, height, data }, channels, orientation) {
  if (orientation === 1) return { width, height, data };
  const isOnSide = orientation >= 5;
  const [newWidth, newHeight] = isOnSide ? [height, width] : [width, height];
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const fromBottom = [3, 4, 6, 7].includes(orientation);
  const result = new Uint8Array(data.length);
  let to = 0;
  for (let y = 0; y < newHeight; y += 1) {
    for (let x = 0; x < newWidth; x += 1) {
      const [across, down] = isOnSide ? [y, x] : [x, y];
      const row = fromBottom ? height - 1 - down : down;
      const column = fromRight ? width - 1 - across : across;
      const from = (row * width + column) * channels;
      for (let channel = 0; channel < channels; channel += 1) result[to + channel] = data[from + channel];
      to += channels;
    }
  }
  return { width: newWidth, height: newHeight, data: result };
}

/** Brings the middle axis of (outer, old, inner) to `size`. */
function stretch(data, outer, old, size, inner) {
  if (old === size) return data;
  const result = new Uint8Array(outer * size * inner);
  const table = weights(old, size);
  for (let block = 0; block < outer; block += 1) {
    for (let position = 0; position < size; position += 1) {
      const { first, values } = table[position];
      const from = (block * old + first) * inner;
      const to = (block * size + position) * inner;
      for (let part = 0; part < inner; part += 1) {
        let sum = 1 << (PRECISION_BITS - 1);
        for (let index = 0; index < values.length; index += 1) sum += values[index] * data[from + index * inner + part];
        result[to + part] = Math.min(sum >> PRECISION_BITS, 255);
      }
    }
  }
  return result;
}

function weights(old, size) {
  const scale = old / size;
  const support = Math.max(scale, 1);
  return Array.from({ length: size }, (_, position) => {
    const centre = (position + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const last = Math.min(Math.trunc(centre + support + 0.5), old);
    const raw = [];
    for (let x = first; x < last; x += 1) raw.push(Math.max(0, 1 - Math.abs((x - centre + 0.5) * (1 / support))));
    let total = 0;
    for (const weight of raw) total += weight;
    return { first, values: Int32Array.from(raw, (weight) => Math.trunc(0.5 + weight * (1 / total) * (1 << PRECISION_BITS))) };
  });
}
