"""The service as a process on loopback: good input, bad input, documents, keys."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from onnx_models import CLASS_NAMES, IMAGE_SHAPE, make_info, write_model
from PIL import Image
from running import COMMAND, Running, encode, pictures, running

from tinysight.pixels import decode_image
from tinysight.serving.answers import Explanation, Model, Predictions, Problem
from tinysight.serving.heatmap import occlusion_map
from tinysight.serving.predictor import Predictor

KIND = {"png": "image/png", "gif": "image/gif", "jpg": "image/jpeg", "bmp": "image/bmp", "webp": "image/webp"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "model.onnx", make_info(extra={"parameters": 768}))


@pytest.fixture(scope="module")
def service(model: Path) -> Iterator[Running]:
    with running(model, "--max-images", 8, "--max-body-bytes", 200_000, "--max-pixels", 1_000_000) as ready:
        yield ready


@pytest.fixture(scope="module")
def documents(service: Running) -> dict[str, Any]:
    value: dict[str, Any] = service.client.get("/openapi.json").raise_for_status().json()
    return value


def from_base64(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def as_json(*files: bytes) -> dict[str, Any]:
    return {"json": {"images": [base64.b64encode(file).decode() for file in files]}}


def as_form(*files: bytes, field: str = "images") -> dict[str, Any]:
    return {"files": [(field, ("any-name", file)) for file in files]}


def as_body(file: bytes, kind: str = "application/octet-stream") -> dict[str, Any]:
    return {"content": file, "headers": {"Content-Type": kind}}


def expect_scores(answer: dict[str, Any], model: Path, files: list[bytes]) -> None:
    Predictions.model_validate(answer, strict=True)
    images = np.stack([decode_image(file, IMAGE_SHAPE) for file in files])
    for prediction, scores in zip(answer["predictions"], Predictor(model).predict(images), strict=True):
        assert [entry["name"] for entry in prediction["classes"]] == [CLASS_NAMES[i] for i in np.argsort(-scores)]
        np.testing.assert_allclose(
            [entry["score"] for entry in prediction["classes"]], np.sort(scores)[::-1], atol=1e-6
        )


class TestGoodInput:
    @pytest.mark.parametrize("name", pictures())
    def test_three_forms_give_what_the_predictor_gives(self, service: Running, model: Path, name: str) -> None:
        file = pictures()[name]
        for form in (as_json(file), as_form(file), as_body(file), as_body(file, KIND[name.split(".")[1]])):
            answer = service.client.post("/predict?top=4", **form).raise_for_status().json()
            assert answer["model"] == "toy"
            assert answer["version"] == service.ready["version"]
            expect_scores(answer, model, [file])

    def test_many_images_keep_their_order(self, service: Running, model: Path) -> None:
        files = list(pictures().values())
        for form in (as_json(*files), as_form(*files)):
            answer = service.client.post("/predict?top=4", **form).raise_for_status().json()
            expect_scores(answer, model, files)

    @pytest.mark.parametrize(("query", "num_classes"), [("", 3), ("?top=1", 1), ("?top=1000", 4)])
    def test_top(self, service: Running, query: str, num_classes: int) -> None:
        answer = service.client.post(f"/predict{query}", **as_body(pictures()["grey.png"])).json()
        assert len(answer["predictions"][0]["classes"]) == num_classes

    def test_model(self, service: Running) -> None:
        answer = service.client.get("/model").raise_for_status().json()
        Model.model_validate(answer, strict=True)
        assert answer["class_names"] == list(CLASS_NAMES)
        assert answer["image_shape"] == list(IMAGE_SHAPE)
        assert answer["extra"] == {"parameters": 768}
        assert answer["limits"]["max_images"] == 8

    def test_explain(self, service: Running, model: Path) -> None:
        file = pictures()["turned.jpg"]
        answer = service.client.post("/explain?class_index=1", **as_form(file)).raise_for_status().json()
        Explanation.model_validate(answer, strict=True)
        assert (answer["model"], answer["version"], answer["class_name"]) == ("toy", service.ready["version"], "dog")
        image = decode_image(file, IMAGE_SHAPE)
        np.testing.assert_array_equal(from_base64(answer["input"]), image)
        heat = occlusion_map(Predictor(model), image, 1)
        np.testing.assert_array_equal(from_base64(answer["heat"]), np.rint(heat * 255))

    def test_model_file_alone_has_no_examples(self, service: Running) -> None:
        answer = service.client.get("/examples?class_index=2").raise_for_status().json()
        assert answer == {"class_name": "fish", "examples": []}

    def test_health(self, service: Running) -> None:
        assert service.client.get("/health").json() == {"status": "ok"}

    def test_metrics_count(self, service: Running) -> None:
        name = 'tinysight_requests_total{path="/predict",status="200"}'
        service.client.post("/predict", **as_body(pictures()["grey.png"]))
        before, images = service.metric(name), service.metric("tinysight_images_total")
        service.client.post("/predict", **as_form(*[pictures()["grey.png"]] * 3))
        assert service.metric(name) == before + 1
        assert service.metric("tinysight_images_total") == images + 3
        assert service.metric("tinysight_requests_inside") == 0

    def test_paths_that_clients_invent_are_one_label(self, service: Running) -> None:
        for number in range(5):
            assert service.client.get(f"/nothing-{number}").status_code == 404
        assert "nothing" not in service.client.get("/metrics").text


def bomb_png() -> bytes:
    """A PNG whose header promises 40,000 x 40,000 pixels."""
    import struct
    import zlib

    data = bytearray(encode(Image.new("L", (4, 4)), "PNG"))
    data[16:24] = struct.pack(">II", 40_000, 40_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


GOOD = pictures()["colour.png"]
FORM = {"Content-Type": "multipart/form-data; boundary=xx"}
PART = b'--xx\r\nContent-Disposition: form-data; name="images"\r\n\r\n'
JSON = {"Content-Type": "application/json"}
BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing": (as_body(b""), 422, "empty"),
    "no image": (as_body(b"hello" * 100), 422, "image 1: is not an image"),
    "cut off": (as_body(pictures()["turned.jpg"][:700]), 422, "image 1: is damaged or cut off"),
    "other format": (as_body(encode(Image.new("L", (4, 4)), "TIFF")), 422, "is TIFF, which is not supported"),
    "40000 x 40000": (as_body(bomb_png()), 422, "has 40,000 x 40,000 pixels"),
    "pixels past the limit": (as_body(encode(Image.new("1", (1001, 1000)), "PNG")), 422, "at most 1,000,000"),
    "second is bad": (as_form(GOOD, b"bad"), 422, "image 2: is not an image"),
    "large": (as_body(bytes(200_001)), 413, "larger than 200,000 bytes"),
    "large form": (as_form(*[bytes(60_000)] * 4), 413, "larger than 200,000 bytes"),
    "too many": (as_form(*[GOOD] * 9), 422, "more than 8 images"),
    "too many in JSON": (as_json(*[GOOD] * 9), 422, "more than 8 images"),
    "wrong field": (as_form(GOOD, field="file"), 422, "has a field 'file'; expected only 'images'"),
    "field beside": ({**as_form(GOOD), "data": {"top": "3"}}, 422, "has a field 'top'"),
    "words in the field": ({"files": {"images": (None, b"words")}}, 422, "image 1: is not an image"),
    "plain text": (as_body(GOOD, "text/plain"), 415, "content type is 'text/plain'"),
    "as curl -d sends it": (as_body(GOOD, "application/x-www-form-urlencoded"), 415, "expected multipart/form-data"),
    "no type": ({"content": GOOD}, 415, "content type is ''"),
    "no boundary": (as_body(GOOD, "multipart/form-data"), 400, "no boundary"),
    "damaged form": ({"content": b"not at all", "headers": FORM}, 400, "form is damaged"),
    "form cut off": ({"content": PART + GOOD, "headers": FORM}, 400, "form is cut off"),
    "empty form": ({"content": b"--xx--\r\n", "headers": FORM}, 422, "form is empty"),
    "part without a name": ({"content": b"--xx\r\n\r\nx\r\n--xx--\r\n", "headers": FORM}, 422, "has a field ''"),
    "long boundary": (as_body(GOOD, "multipart/form-data; boundary=" + "x" * 5000), 400, "form is damaged"),
    "no JSON": ({"content": b"{", "headers": JSON}, 400, "no JSON"),
    "no UTF-8": ({"content": b'{"images": ["\xff"]}', "headers": JSON}, 400, "no JSON"),
    "deep JSON": ({"content": b"[" * 190_000, "headers": JSON}, 400, "no JSON"),
    "long number": ({"content": b"9" * 10_000, "headers": JSON}, 400, "no JSON"),
    "JSON list": ({"json": []}, 422, "not an object"),
    "other key": ({"json": {"images": ["aaaa"], "url": "x"}}, 422, "not an object with the one field"),
    "no list": ({"json": {"images": "aaaa"}}, 422, "not a list"),
    "empty list": ({"json": {"images": []}}, 422, "not a list with something in it"),
    "number": ({"json": {"images": [7]}}, 422, "image 1 is a JSON int"),
    "no base64": ({"json": {"images": ["?!"]}}, 422, "image 1 is not base64"),
    "letters beyond ASCII": ({"json": {"images": ["ä" * 4]}}, 422, "image 1 is not base64"),
    "address of a picture": ({"json": {"images": ["http://127.0.0.1/a.png"]}}, 422, "image 1 is not base64"),
    "path of a file": ({"json": {"images": ["file:///etc/passwd"]}}, 422, "image 1 is not base64"),
    "data address": ({"json": {"images": ["data:image/png;base64,aaaa"]}}, 422, "image 1 is not base64"),
    "packed": (
        {**as_body(GOOD[:20]), "headers": {"Content-Type": "image/png", "Content-Encoding": "gzip"}},
        422,
        "damaged",
    ),
}


class TestBadInput:
    @pytest.mark.parametrize("name", BAD)
    def test_gets_a_reason(self, service: Running, documents: dict[str, Any], name: str) -> None:
        request, status, words = BAD[name]
        response = service.client.post("/predict", **request)
        assert response.status_code == status, response.text
        problem = Problem.model_validate(response.json(), strict=True)
        assert words in problem.detail
        assert "\n" not in problem.detail
        assert str(status) in documents["paths"]["/predict"]["post"]["responses"]

    @pytest.mark.parametrize("top", ["0", "-1", "1001", "many", "1.5", ""])
    def test_wrong_top(self, service: Running, top: str) -> None:
        response = service.client.post(f"/predict?top={top}", **as_body(GOOD))
        assert response.status_code == 422
        assert Problem.model_validate(response.json()).detail.startswith("top: ")

    @pytest.mark.parametrize("class_index", ["-1", "4", "cat", ""])
    @pytest.mark.parametrize("method_and_path", ["POST /explain", "GET /examples"])
    def test_wrong_class(self, service: Running, method_and_path: str, class_index: str) -> None:
        method, path = method_and_path.split()
        request = as_body(GOOD) if method == "POST" else {}
        response = service.client.request(method, f"{path}?class_index={class_index}", **request)
        assert response.status_code == 422
        assert Problem.model_validate(response.json()).detail.startswith("class_index: ")

    def test_explain_takes_one_picture(self, service: Running) -> None:
        response = service.client.post("/explain?class_index=0", **as_form(GOOD, GOOD))
        assert (response.status_code, response.json()["detail"]) == (
            422,
            "more than 1 image, the limit for one request",
        )
        response = service.client.post("/explain?class_index=0", **as_body(b"hello" * 100))
        assert (response.status_code, "is not an image" in response.json()["detail"]) == (422, True)

    def test_names_of_files_are_never_looked_at(self, service: Running, tmp_path: Path) -> None:
        path = tmp_path / "secret.png"
        path.write_bytes(GOOD)
        response = service.client.post("/predict", files={"images": (str(path), b"")})
        assert response.status_code == 422
        assert response.json() == {"detail": "image 1: is empty; expected an image"}

    def test_other_methods_and_paths(self, service: Running) -> None:
        response = service.client.get("/predict")
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        for path in ("/nothing", "/page/../../pyproject.toml", "/%2e%2e/%2e%2e/etc/passwd", "/docs/x"):
            response = service.client.get(path)
            assert response.status_code == 404
            Problem.model_validate(response.json())

    def test_mutated_requests(self, service: Running) -> None:
        generator = np.random.default_rng(17)
        files = list(pictures().values())
        counts: dict[int, int] = {}
        with httpx.Client(base_url=service.url) as client:
            for number in range(400):
                data = mutate(files[number % len(files)], generator)
                form = (as_body(data), as_json(data, GOOD), as_form(GOOD, data), mutated_form(data, generator))[
                    number % 4
                ]
                response = client.post("/predict", **form)
                assert response.status_code in (200, 400, 413, 415, 422), response.text
                counts[response.status_code] = counts.get(response.status_code, 0) + 1
                (Predictions if response.status_code == 200 else Problem).model_validate(response.json())
        assert counts[200] > 20
        assert counts[422] > 100
        assert service.metric("tinysight_requests_inside") == 0


def mutate(data: bytes, generator: np.random.Generator) -> bytes:
    """Some bytes changed, a piece cut out, or a piece doubled."""
    changed = bytearray(data)
    for _ in range(int(generator.integers(1, 5))):
        start, end = sorted(generator.integers(0, len(changed), 2))
        match generator.integers(0, 4):
            case 0:
                del changed[start:end]
            case 1:
                changed[start:start] = changed[start:end]
            case _:
                changed[start] = generator.integers(0, 256)
        if not changed:
            return b""
    return bytes(changed)


def mutated_form(file: bytes, generator: np.random.Generator) -> dict[str, Any]:
    return {"content": mutate(PART + file + b"\r\n--xx--\r\n", generator), "headers": FORM}


class TestDocuments:
    def test_every_route_is_documented(self, documents: dict[str, Any]) -> None:
        assert {path: list(methods) for path, methods in documents["paths"].items()} == {
            "/health": ["get"],
            "/predict": ["post"],
            "/explain": ["post"],
            "/examples": ["get"],
            "/model": ["get"],
            "/metrics": ["get"],
        }
        body = documents["paths"]["/predict"]["post"]["requestBody"]["content"]
        assert set(body) == {"multipart/form-data", "application/json", "application/octet-stream", "image/*"}
        assert body["application/json"]["schema"]["properties"]["images"]["maxItems"] == 8
        assert "securitySchemes" not in documents["components"]

    def test_all_problems_have_the_same_form(self, documents: dict[str, Any]) -> None:
        responses = documents["paths"]["/predict"]["post"]["responses"]
        assert set(responses) == {"200", "400", "408", "413", "415", "422", "503"}
        for status, response in responses.items():
            wanted = "Predictions" if status == "200" else "Problem"
            assert response["content"]["application/json"]["schema"]["$ref"].endswith(f"/{wanted}")

    def test_page_needs_nobody_else(self, service: Running) -> None:
        response = service.client.get("/docs")
        assert response.headers["content-type"].startswith("text/html")
        assert "POST /predict" in response.text
        assert "://" not in response.text
        assert "<script" not in response.text
        assert "default-src 'self'" in response.headers["content-security-policy"]

    def test_start_leads_somewhere(self, service: Running) -> None:
        response = service.client.get("/", follow_redirects=True)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/html")


class TestKeys:
    @pytest.fixture(scope="class")
    @classmethod
    def guarded(cls, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
        path = tmp_path_factory.mktemp("keys") / "keys"
        path.write_text("# two\nfirst-key\nsecond-key\n", encoding="utf-8")
        with running(model, "--host", "0.0.0.0", "--api-key-file", path) as ready:
            yield ready

    @pytest.mark.parametrize(
        "method_and_path", ["POST /predict", "POST /explain", "GET /examples", "GET /model", "GET /metrics"]
    )
    def test_without_a_known_key_nothing_is_told(self, guarded: Running, method_and_path: str) -> None:
        method, path = method_and_path.split()
        for value in (
            None,
            "Bearer",
            "Bearer wrong",
            "Bearer first-ke",
            "Basic first-key",
            "first-key",
            b"Bearer \xff",
        ):
            headers = {} if value is None else {"Authorization": value}
            response = guarded.client.request(method, path, headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            Problem.model_validate(response.json())

    @pytest.mark.parametrize("key", ["first-key", "second-key"])
    def test_with_a_key(self, guarded: Running, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        assert guarded.client.get("/model", headers=headers).status_code == 200
        response = guarded.client.post("/predict", headers=headers, files={"images": GOOD})
        assert response.status_code == 200
        assert guarded.metric("tinysight_images_total", key) >= 1

    def test_health_is_open_and_the_documents_say_who_needs_a_key(self, guarded: Running) -> None:
        assert guarded.client.get("/health").status_code == 200
        documents = guarded.client.get("/openapi.json").json()
        assert documents["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
        assert "security" not in documents["paths"]["/health"]["get"]
        for path, method in (("/predict", "post"), ("/model", "get"), ("/metrics", "get")):
            assert documents["paths"][path][method]["security"] == [{"HTTPBearer": []}]
            assert "401" in documents["paths"][path][method]["responses"]

    def test_no_warning_with_keys(self, guarded: Running) -> None:
        assert guarded.ready["warning"] is None


class TestCommand:
    def test_beyond_loopback_without_keys_warns(self, model: Path, service: Running) -> None:
        assert service.ready["warning"] is None
        assert service.url.startswith("http://127.0.0.1:")
        with running(model, "--host", "0.0.0.0") as ready:
            assert "asks for no key: give --api-key-file" in ready.ready["warning"]

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--host", "not a host"], "cannot listen on host 'not a host'"),
            (["--port", "70000"], "--port"),
            (["--max-pixels", "0"], "--max-pixels"),
            (["--max-seconds", "0"], "--max-seconds"),
            (["--api-key-file", "gone"], "API key file 'gone' cannot be read"),
            (["--prot", "1"], "--port"),
        ],
    )
    def test_mistakes_exit_2(self, model: Path, tmp_path: Path, options: list[str], words: str) -> None:
        self.expect_mistake([str(model), *options], words, tmp_path)

    def test_no_model(self, tmp_path: Path) -> None:
        self.expect_mistake(["gone.onnx"], "no model at 'gone.onnx'", tmp_path)
        self.expect_mistake(["gone"], "no run at 'gone'", tmp_path)

    def test_port_that_is_taken(self, model: Path, service: Running, tmp_path: Path) -> None:
        port = str(service.address[1])
        self.expect_mistake([str(model), "--port", port], f"cannot listen on 127.0.0.1 port {port}", tmp_path)

    def expect_mistake(self, arguments: list[str], words: str, folder: Path) -> None:
        done = subprocess.run([*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert "Traceback" not in done.stderr

    def test_loads_no_training_libraries(self, model: Path) -> None:
        code = (
            "import sys, tinysight.cli.serve, tinysight.serving.app, tinysight.serving.server;"
            "from tinysight.serving.predictor import load_predictor; load_predictor(sys.argv[1]);"
            "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
        )
        done = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, text=True, check=True)
        loaded = set(done.stdout.split())
        assert {"onnxruntime", "fastapi", "uvicorn"} <= loaded
        assert not loaded & {"tensorflow", "keras", "jax", "matplotlib", "sklearn", "scipy", "pandas", "onnx"}

    def test_help_names_every_limit_with_its_default(self) -> None:
        done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
        for default in ("16777216", "25000000", "64", "128", "30.0"):
            assert f"default: {default}" in " ".join(done.stdout.split())


def test_documents_and_json_agree_on_plain_values(documents: dict[str, Any]) -> None:
    assert json.loads(json.dumps(documents)) == documents
    assert documents["info"]["title"] == "Tinysight"
