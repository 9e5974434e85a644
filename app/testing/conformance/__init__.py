"""The conformance test: drives an application, and reports which promise it breaks and where."""
