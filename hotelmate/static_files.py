"""Static files in production: compressed, under names with a hash of their content."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedFilesStorage(CompressedManifestStaticFilesStorage):
    """Imports in scripts are hashed, too, so that after an upgrade no new script loads an old one from a cache."""

    support_js_module_import_aggregation = True
