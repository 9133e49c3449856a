"""View synthesis: neural radiance fields, learned from photographs of a scene."""
