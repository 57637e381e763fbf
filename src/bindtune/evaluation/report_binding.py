def build(run, config): raise NotImplementedError
