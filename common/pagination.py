"""Pages of lists: ``{count, next, previous, results}`` (docs/api.md, Conventions)."""

from typing import Any

from django.core.paginator import EmptyPage, Page, Paginator
from rest_framework.pagination import PageNumberPagination
from rest_framework.response import Response

from common.errors import FieldError

LARGEST_PAGE_NUMBER = 1_000_000  # beyond it the OFFSET would not fit PostgreSQL's bigint


class PagePagination(PageNumberPagination):
    """``?page`` and ``?page_size`` (default 10, at most 100). A page past the end is empty, not an error."""

    page_size = 10
    max_page_size = 100
    page_size_query_param = "page_size"
    known_count: int | None = None  # set by a view that has already counted

    def paginate_queryset(self, queryset: Any, request: Any, view: Any = None) -> list[Any]:
        self.request = request
        self.size = _positive(request, "page_size", self.page_size, self.max_page_size)
        self.number = _positive(request, "page", 1, LARGEST_PAGE_NUMBER)
        self.paginator = Paginator(queryset, self.size)
        if self.known_count is not None:
            self.paginator.count = self.known_count
        try:
            self.page = self.paginator.page(self.number)
        except EmptyPage:
            self.page = Page([], self.number, self.paginator)
        return list(self.page)

    def get_paginated_response(self, data: Any) -> Response:
        past_the_end = self.number > self.paginator.num_pages
        return Response(
            {
                "count": self.paginator.count,
                "next": None if past_the_end else self.get_next_link(),
                "previous": None if past_the_end else self.get_previous_link(),
                "results": data,
            }
        )


def _positive(request: Any, name: str, default: int, largest: int) -> int:
    text = request.query_params.get(name, "").strip()
    if not text:
        return default
    digits = text.lstrip("0")
    if not (digits.isascii() and digits.isdigit()):
        raise FieldError(name, f"{name} must be a whole number of at least 1.")
    # int() of thousands of digits is slow, or refused by Python, and larger numbers are capped anyway.
    return largest if len(digits) > 9 else min(int(digits), largest)
