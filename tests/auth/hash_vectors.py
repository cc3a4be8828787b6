"""Stored hashes with their passwords, as others have published them: by RFCs, by other services."""

# From the tests of: the Argon2 reference implementation, Openwall's crypt_blowfish, Ory Kratos, Django, passlib (as its
# documentation has them), firebase/scrypt; RFC 7914 section 12 and RFC 6070 in the forms of PHC and of Zitadel.
VECTORS = {
    "Argon2id": (
        "password",
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    ),
    "Argon2i": (
        "password",
        "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA",
    ),
    "Argon2i of version 16": (
        "password",
        "$argon2i$m=65536,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ",
    ),
    "Django's Argon2": (
        "password",
        "argon2$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    ),
    "bcrypt $2a$": ("test", "$2a$12$o6hx.Wog/wvFSkT/Bp/6DOxCtLRTDj7lm9on9suF/WaCGNVHbkfL6"),
    "bcrypt $2b$": ("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    "bcrypt $2y$": ("U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    "Django's bcrypt": ("U*U", "bcrypt$$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    "Django's bcrypt_sha256": (
        "lètmein",
        "bcrypt_sha256$$2a$08$NDjSAIcas.EcoxCRiArvT.MkNiPYVhrsrnJsRkLueZOoV1bsQqlmC",
    ),
    "scrypt": (
        "pleaseletmein",
        (
            "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$"
            "cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw"
        ),
    ),
    "passlib's scrypt": (
        "password",
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
    ),
    "Ory's scrypt": (
        "test",
        (
            "$scrypt$ln=16384,r=8,p=1$2npRo7P03Mt8keSoMbyD/tKFWyUzjiQf2svUaNDSrhA="
            "$MiCzNcIplSMqSBrm4HckjYqYhaVPPjTARTzwB1cVNYE="
        ),
    ),
    "Django's scrypt": (
        "lètmein",
        (
            "scrypt$16384$seasalt$8$1$"
            "Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw=="
        ),
    ),
    "Werkzeug's scrypt": (
        "pleaseletmein",
        (
            "scrypt:16384:8:1$SodiumChloride$7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
            "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
        ),
    ),
    "Ory's PBKDF2-SHA256": (
        "test",
        (
            "$pbkdf2-sha256$i=100000,l=32$1jP+5Zxpxgtee/iPxGgOz0RfE9/KJuDElP1ley4VxXc"
            "$QJxzfvdbHYBpydCbHoFg3GJEqMFULwskiuqiJctoYpI"
        ),
    ),
    "Ory's PBKDF2-SHA512": (
        "test",
        (
            "$pbkdf2-sha512$i=100000,l=32$bdHBpn7OWOivJMVJypy2UqR0UnaD5prQXRZevj/05YU"
            "$+wArTfv1a+bNGO1iZrmEdVjhA+lL11wF4/IxpgYfPwc"
        ),
    ),
    "PBKDF2-SHA1": ("password", "$pbkdf2-sha1$i=4096$c2FsdA$SwB5AbdlSJq+rUnZJvch0GWkKcE"),
    "passlib's PBKDF2-SHA256": (
        "password",
        "$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44",
    ),
    "passlib's PBKDF2-SHA1": ("password", "$pbkdf2$4096$c2FsdA$SwB5AbdlSJq.rUnZJvch0GWkKcE"),
    "Django's PBKDF2-SHA256": ("lètmein", "pbkdf2_sha256$20000$seasalt2$Flpve/uAcyo6+IFI6YAhjeABGPVbRQjzHDxRhqxewgw="),
    "Werkzeug's PBKDF2-SHA1": ("password", "pbkdf2:sha1:4096$salt$4b007901b765489abead49d926f721d065a429c1"),
    "Firebase's scrypt": (
        "user1password",
        (
            "$firescrypt$ln=14,r=8,p=1$42xEC+ixf3L2lw=="
            "$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
            "$Bw==$jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="
        ),
    ),
}

# What would take the memory or the cores of everybody else.
BOMBS = {
    "Argon2id of 8 GiB": "$argon2id$v=19$m=8388608,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
    "Argon2id of a billion passes": "$argon2id$v=19$m=65536,t=1000000000,p=1$c29tZXNhbHQ$" + "a" * 43,
    "Argon2id of many lanes": "$argon2id$v=19$m=131072,t=1,p=16384$c29tZXNhbHQ$" + "a" * 43,
    "bcrypt of cost 31": "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    "scrypt of N = 2^31": "$scrypt$ln=31,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
    "Ory's scrypt of N = 2^31": "$scrypt$ln=2147483648,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$" + "a" * 43,
    "scrypt of huge blocks": "$scrypt$ln=2,r=4294967295,p=1$aM15713r3Xsvxbi31lqr1Q$" + "a" * 43,
    "scrypt of many lanes": "$scrypt$ln=14,r=8,p=1073741823$aM15713r3Xsvxbi31lqr1Q$" + "a" * 43,
    "Django's scrypt of N = 2^30": "scrypt$1073741824$seasalt$8$1$" + "a" * 86,
    "PBKDF2 of two billion rounds": "$pbkdf2-sha256$i=2147483647,l=32$c2FsdA$" + "a" * 43,
    "PBKDF2 of many blocks": "$pbkdf2-sha1$i=2000000$c2FsdA$" + "a" * 171,
    "Firebase's scrypt of N = 2^31": "$firescrypt$ln=31,r=8,p=1$42xEC+ixf3L2lw==$" + "a" * 43 + "$Bw==$" + "a" * 43,
}
