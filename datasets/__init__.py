"""Sources, checksums, parsers and stand-ins of the benchmark's data; knows nothing of models or methods.

`registry` lists the datasets, and its `resolve` decides between real data and a stand-in. Each dataset is a
package whose `load` reads either; `fetch` downloads. Everything wrong with data is a `core.errors.DataError`.
`core.roots` resolves the two folders that the environment names; `core.files` opens what may lie there: regular
files only, of bounded size.
"""
