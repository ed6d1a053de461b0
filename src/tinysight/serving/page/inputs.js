// The ways a picture file comes to the page: chosen, dropped anywhere, or pasted.

const element = (id) => document.getElementById(id);

/**
 * @param {(picture: Blob) => void} give takes a picture.
 * @param {(words: string) => void} refuse takes a reason when what came holds none.
 */
export function listenForPictures(give, refuse) {
  const file = element("file");
  element("choose").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    if (file.files.length) give(file.files[0]);
    // So that the same file can be chosen again.
    file.value = "";
  });
  listenForDrops(give, refuse);
  document.addEventListener("paste", (event) => {
    const found = pictureIn(event.clipboardData);
    if (found) {
      event.preventDefault();
      give(found);
    } else if (!event.target.closest?.("input")) {
      refuse("What was pasted holds no picture.");
    }
  });
}

function listenForDrops(give, refuse) {
  const mark = (over) => document.body.classList.toggle("over", over);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) mark(false);
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    const found = pictureIn(event.dataTransfer);
    if (found) give(found);
    else refuse("What was dropped holds no picture file; save the picture first, then drop the file.");
  });
}

/** The first file, whatever its ending says: the bytes decide. */
function pictureIn(transfer) {
  const files = [...(transfer?.files ?? [])];
  return files.find((file) => file.type.startsWith("image/")) ?? files[0];
}
