// The camera, where the browser has one and lets pages use it (https or this machine only).

const element = (id) => document.getElementById(id);

/** Connects the buttons; gives `close`, which also turns the camera off. */
export function openCamera({ onPicture, onOpen, onProblem }) {
  const view = element("camera-view");
  let stream = null;

  function close() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    view.srcObject = null;
    element("camera-panel").hidden = true;
  }

  async function open() {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
    } catch (error) {
      onProblem(reasonOf(error));
      return;
    }
    panel.onOpen();
    view.srcObject = stream;
    element("camera-panel").hidden = false;
    await view.play();
    element("camera-shot").focus();
  }

  async function shoot() {
    const canvas = new OffscreenCanvas(view.videoWidth, view.videoHeight);
    canvas.getContext("2d").drawImage(view, 0, 0);
    const picture = await canvas.convertToBlob({ type: "image/png" });
    close();
    element("camera").focus();
    onPicture(picture);
  }

  const panel = { close, onOpen };
  element("camera").hidden = !navigator.mediaDevices?.getUserMedia;
  element("camera").addEventListener("click", () => void open());
  element("camera-shot").addEventListener("click", () => void shoot());
  element("camera-close").addEventListener("click", () => {
    close();
    element("drop-words").hidden = false;
    element("camera").focus();
  });
  return panel;
}

function reasonOf(error) {
  if (error.name === "NotAllowedError") return "The camera may not be used; allow it in the browser's settings.";
  if (error.name === "NotFoundError") return "There is no camera.";
  return `The camera does not open: ${error.message}`;
}
