"""Members' keys in a PKCS#11 token (an HSM, a smart card, SoftHSM): made there, used there, never read out.

A key in a token is called as the keyring calls it (its label) and passes for any other ES256 key; what a token does not
give, the private numbers, is refused.  Source: PKCS #11 v3.0, CKM_ECDSA; RFC 5480 for the curve's name.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import threading
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    PrivateFormat,
    load_der_public_key,
)

from lienthong.errors import Problem
from lienthong.i18n import T

P256: Final = bytes.fromhex("06082a8648ce3d030107")
"""The object identifier 1.2.840.10045.3.1.7 in DER: what CKA_EC_PARAMS holds for P-256."""
_SPKI_HEAD: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""SubjectPublicKeyInfo of a P-256 key up to its 65 bytes of point."""


class TokenUnusable(Problem):
    """The token, its module or its PIN does not do; or a private key was to leave it."""

    kind = "token-unusable"
    status = 500
    side = "node"
    title = T("The key in the token can not be used")


class Token:
    """One token, opened at its first use in each process: a session does not outlive a fork."""

    _sessions: ClassVar[dict[tuple[int, str, str], Any]] = {}  # the library says nothing of its types
    """By process, module and label: whoever logs in does it for the whole process."""
    _turn: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, module: str, label: str, pin_file: Path) -> None:
        self._module, self._label, self._pin_file = module, label, pin_file

    def has(self, name: str) -> bool:
        """Whether the token holds a private key called ``name``."""
        with self._turn:
            return self._find(name, "PRIVATE_KEY") is not None

    def es256(self, name: str) -> TokenKey:
        """The P-256 key called ``name``, made in the token on first use.  Raises TokenUnusable."""
        with self._turn:
            public = self._find(name, "PUBLIC_KEY")
            if public is None:
                self._make(name)
                public = self._find(name, "PUBLIC_KEY")
            point = bytes(public[self._library().Attribute.EC_POINT])[-65:]  # an octet string around the point
        key = load_der_public_key(_SPKI_HEAD + point)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise TokenUnusable(T("The token's key {name} is not a P-256 key."), name=name)
        return TokenKey(self, name, key)

    def sign(self, name: str, digest: bytes) -> bytes:
        """r || s of ``digest`` (32 bytes) by the key called ``name``; one lost session is opened again."""
        with self._turn:
            try:
                return self._sign(name, digest)
            except TokenUnusable:
                raise
            except Exception:  # whatever the module's session ended with: a token that was reset is asked once more
                self._sessions.pop(self._key, None)
                return self._sign(name, digest)

    def _sign(self, name: str, digest: bytes) -> bytes:
        key = self._find(name, "PRIVATE_KEY")
        if key is None:
            raise TokenUnusable(T("The token holds no key {name}."), name=name)
        return bytes(key.sign(digest, mechanism=self._library().Mechanism.ECDSA))

    def _make(self, name: str) -> None:
        library = self._library()
        parameters = self._open().create_domain_parameters(
            library.KeyType.EC, {library.Attribute.EC_PARAMS: P256}, local=True
        )
        attribute = library.Attribute
        parameters.generate_keypair(
            store=True,
            label=name,
            private_template={attribute.SENSITIVE: True, attribute.EXTRACTABLE: False},
        )

    def _find(self, name: str, kind: str) -> Any:
        library = self._library()
        wanted = {
            library.Attribute.CLASS: getattr(library.ObjectClass, kind),
            library.Attribute.LABEL: name,
        }
        return next(iter(list(self._open().get_objects(wanted))), None)

    def _library(self) -> Any:
        try:
            # Only nodes with a token install it (the extra ``hsm``), and only processes that sign load it.
            return importlib.import_module("pkcs11")
        except ImportError as absent:
            raise TokenUnusable(
                T("The package python-pkcs11 is not installed."), mend=T("Install lienthong with the extra hsm.")
            ) from absent

    def _open(self) -> Any:
        if self._key not in self._sessions:
            library = self._library()
            try:
                token = library.lib(self._module).get_token(token_label=self._label)
                pin = self._pin_file.read_text("utf-8").strip()
                self._sessions[self._key] = token.open(rw=True, user_pin=pin)
            except (OSError, RuntimeError, library.PKCS11Error) as refused:
                raise TokenUnusable(
                    T("The token {label} can not be opened: {error}."),
                    mend=T("See that the module, the token's label and the file with its PIN are right."),
                    label=self._label,
                    error=type(refused).__name__,
                ) from refused
        return self._sessions[self._key]

    @property
    def _key(self) -> tuple[int, str, str]:
        return os.getpid(), self._module, self._label


class TokenKey(ec.EllipticCurvePrivateKey):
    """A P-256 key that stays in its token."""

    def __init__(self, token: Token, name: str, public: ec.EllipticCurvePublicKey) -> None:
        self._token, self._name, self._public = token, name, public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:  # Any: a buffer
        """The signature in DER over SHA-256 of ``data``; no other algorithm is in use."""
        del signature_algorithm
        raw = self._token.sign(self._name, hashlib.sha256(data).digest())
        return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """256 bits."""
        return self._public.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """Not with a signing key."""
        del algorithm, peer_public_key
        raise self._stays()

    def private_numbers(self) -> NoReturn:
        """Not out of a token."""
        raise self._stays()

    def private_bytes(
        self, encoding: Encoding, format: PrivateFormat, encryption_algorithm: KeySerializationEncryption
    ) -> NoReturn:
        """Not out of a token."""
        del encoding, format, encryption_algorithm
        raise self._stays()

    def __copy__(self) -> TokenKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> TokenKey:
        return self

    def _stays(self) -> TokenUnusable:
        return TokenUnusable(T("The key {name} does not leave its token."), name=self._name)
