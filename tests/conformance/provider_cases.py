"""The cases of providers/: SQL, HTTP, mail and files by the provider packages that people use most."""


def add(case):
    def once(dag, *before, **options):
        case(dag, dag, [*before, ("unpause", dag), ("trigger", dag), ("ended", dag, 1)], profile="providers", **options)
    for dag in ("c_queries", "c_checks", "c_flow", "c_hooks"):
        once(dag, polls=True)
    once("i_asks")
    once("i_waits", polls=True)
    once("i_deferred", logs=False)
    for dag in ("n_mail", "n_storage", "n_absent"):
        once(dag)
