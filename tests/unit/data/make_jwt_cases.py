"""Keys and tokens made by Airflow's own generator and by PyJWT: bin/python make_jwt_cases.py > jwt_cases.json (an Airflow environment)."""
import base64, hashlib, hmac, json

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, PublicFormat
from airflow.api_fastapi.auth.tokens import JWTGenerator, key_to_jwk_dict, key_to_pem

CLAIMS = {"sub": "019", "iat": 1800000000, "nbf": 1800000000, "exp": 1800000600}


def public_jwk(key, algorithm):
    from jwt.algorithms import get_default_algorithms
    return get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)


keys = {"rsa": rsa.generate_private_key(65537, 2048), "other rsa": rsa.generate_private_key(65537, 2048), "short rsa": rsa.generate_private_key(65537, 1024),
        "ed": ed25519.Ed25519PrivateKey.generate(), "P-256": ec.generate_private_key(ec.SECP256R1()), "P-384": ec.generate_private_key(ec.SECP384R1()),
        "P-521": ec.generate_private_key(ec.SECP521R1()), "secp256k1": ec.generate_private_key(ec.SECP256K1())}
algorithms = {"rsa": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"], "other rsa": ["RS256"], "ed": ["EdDSA"], "P-256": ["ES256"], "P-384": ["ES384"],
              "P-521": ["ES512"], "secp256k1": ["ES256K"], "short rsa": ["RS256"]}
out = {}
for name, key in keys.items():
    one = {"pem": key_to_pem(key).decode(), "tokens": {}, "jwk": {}, "public": key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()}
    if not name.startswith(("P-", "secp")):   # Airflow's generator knows no elliptic keys
        one["kid"] = JWTGenerator(private_key=key, valid_for=1, audience="a", issuer=None, algorithm="GUESS").kid
    for algorithm in algorithms[name]:
        one["tokens"][algorithm] = jwt.encode(CLAIMS, key, algorithm=algorithm, headers={"kid": name})
        one["jwk"][algorithm] = {**public_jwk(key, algorithm), "kid": name, "alg": algorithm}
    if name == "rsa":
        one["traditional"] = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
        one["encrypted"] = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
        head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "rsa", "typ": "JWT"}).encode()).decode().rstrip("=")
        body = one["tokens"]["RS256"].split(".")[1]
        mac = hmac.digest(one["public"].encode(), f"{head}.{body}".encode(), hashlib.sha256)
        one["confused"] = f"{head}.{body}." + base64.urlsafe_b64encode(mac).decode().rstrip("=")
        one["none"] = jwt.encode(CLAIMS, None, algorithm="none", headers={"kid": "rsa"})
        one["no kid"] = jwt.encode(CLAIMS, key, algorithm="RS256")
    out[name] = one
out["claims"] = json.dumps(CLAIMS, separators=(",", ":"))
print(json.dumps(out, indent=1))
