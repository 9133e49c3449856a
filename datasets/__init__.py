"""Sources, checksums, parsers and stand-ins of the benchmark's data; knows nothing of models or methods.

`source.resolve` decides between real data and a stand-in, a loader (`planetoid.load_citation`, `scenes.load_scene`)
reads either, `fetch.fetch` downloads, `registry` lists what there is. Everything wrong with data is an
`errors.DataError`. `roots` resolves the two folders that the environment names; `files` opens what may lie there:
regular files only, of bounded size.
"""
