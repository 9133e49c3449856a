"""The citation graphs Cora, CiteSeer and PubMed; `load` reads them."""
